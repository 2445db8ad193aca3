"""The manifests: built as `kubectl apply -k` builds them, and held against the schemas of everything they name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema_rs import validator_for

from replog.settings import ApiSettings, CollectorSettings, variable

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
SCHEMAS = Path(__file__).with_name("schemas")
#: Releases whose schemas every object has to meet.
RELEASES = ("1.30", kubernetes_validate.latest_version())
#: The keys that KEDA 2.19 reads of a Kafka trigger. Its schema lets any key pass.
KAFKA_KEYS = {
    "activationLagThreshold", "allowIdleConsumers", "bootstrapServers", "bootstrapServersFromEnv", "consumerGroup",
    "consumerGroupFromEnv", "ensureEvenDistributionOfPartitions", "excludePersistentLag", "lagThreshold",
    "limitToPartitionsWithLag", "offsetResetPolicy", "partitionLimitation", "sasl", "saslTokenProvider",
    "scaleToZeroOnInvalidOffset", "tls", "topic", "topicFromEnv", "unsafeSsl", "version",
}  # fmt: skip
#: Seconds: of the pause before SIGTERM, and that a collector takes to stop at most.
PRE_STOP_S, COLLECTOR_STOP_S = 10, 10


def built(folder: str) -> list[dict[str, Any]]:
    """The objects of a kustomization."""
    kubectl = Path(sys.executable).with_name("kubectl")
    text = subprocess.run([kubectl, "kustomize", str(FOLDER / folder)], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(text.stdout))


OBJECTS = {"base": built("base"), "example": built("overlays/example")}


def named(kind: str, name: str, of: str = "example") -> dict[str, Any]:
    """One object."""
    (found,) = (one for one in OBJECTS[of] if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def pod(name: str) -> dict[str, Any]:
    """The pod of a deployment."""
    spec: dict[str, Any] = named("Deployment", name)["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    """Its only container."""
    (found,) = pod(name)["containers"]
    return dict(found)


each_object = pytest.mark.parametrize(
    "one",
    [one for objects in OBJECTS.values() for one in objects],
    ids=lambda one: f"{one['kind']} {one['metadata']['name']}",
)
each_deployment = pytest.mark.parametrize("name", ["replog-collector", "replog-api"])


@each_object
def test_every_field_of_every_object_is_in_its_schema(one: dict[str, Any]) -> None:
    own = SCHEMAS / f"{one['kind']}.json"
    if own.exists():
        validator_for(json.loads(own.read_text(encoding="utf-8"))).validate(one)
    else:
        for release in RELEASES:
            kubernetes_validate.validate(one, release, strict=True)


def test_a_misspelt_field_is_found() -> None:
    """So that the test above can fail."""
    wrong = named("Deployment", "replog-api")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**wrong, "spec": {**wrong["spec"], "replica": 2}}, RELEASES[0], strict=True)


def test_keda_reads_every_key_of_the_trigger_and_finds_the_variables() -> None:
    (trigger,) = named("ScaledObject", "replog-collector")["spec"]["triggers"]
    metadata = trigger["metadata"]
    assert metadata.keys() <= KAFKA_KEYS
    assert all(isinstance(value, str) for value in metadata.values())
    # KEDA reads values, and does not follow references.
    values = {variable["name"]: variable.get("value") for variable in container("replog-collector")["env"]}
    assert all(values[value] for key, value in metadata.items() if key.endswith("FromEnv"))


def test_a_number_of_pods_has_one_owner() -> None:
    """Deployments that something scales say no number: each `apply` would set it back."""
    assert "replicas" not in named("Deployment", "replog-collector")["spec"]
    assert "replicas" not in named("Deployment", "replog-api")["spec"]
    assert named("Deployment", "replog-collector", "base")["spec"]["replicas"] == 2
    assert named("ScaledObject", "replog-collector")["spec"]["minReplicaCount"] >= 1


@each_deployment
def test_pods_meet_the_restricted_standard(name: str) -> None:
    whole, one = pod(name)["securityContext"], container(name)["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] == 10001
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert pod(name)["enableServiceLinks"] is False


@each_deployment
def test_every_variable_is_a_setting(name: str) -> None:
    fields = {"replog-collector": CollectorSettings.model_fields, "replog-api": ApiSettings.model_fields}[name]
    known = {variable(field) for field in fields}
    assert {one["name"] for one in container(name)["env"]} <= known


@each_deployment
def test_probes_ask_what_the_services_answer(name: str) -> None:
    one = container(name)
    paths = {kind: one[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    ports = {port["name"] for port in one["ports"]}
    assert {one[f"{kind}Probe"]["httpGet"]["port"] for kind in paths} <= ports


def test_pods_have_time_to_end() -> None:
    """After it they are killed, and a response under way is cut off."""
    api = pod("replog-api")["terminationGracePeriodSeconds"]
    assert container("replog-api")["lifecycle"]["preStop"]["sleep"]["seconds"] == PRE_STOP_S
    assert api >= PRE_STOP_S + ApiSettings.model_fields["api_drain_s"].default + 10
    assert pod("replog-collector")["terminationGracePeriodSeconds"] > COLLECTOR_STOP_S


def test_secrets_are_taken_from_secrets() -> None:
    """None stands in a manifest, and each reference names a key that the example makes."""
    secrets = {one["metadata"]["name"]: one["data"] for one in OBJECTS["example"] if one["kind"] == "Secret"}
    for name in ("replog-collector", "replog-api"):
        taken = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container(name)["env"] if "valueFrom" in one}
        assert all(reference["key"] in secrets[reference["name"]] for reference in taken.values())
        assert {one["name"] for one in container(name)["env"]} & {"REPLOG_REDIS_URL", "REPLOG_API_TOKENS"} <= set(taken)


@pytest.mark.parametrize("name", ["replog-collector", "replog-api"])
def test_policies_allow_what_the_service_listens_on_and_connects_to(name: str) -> None:
    policy = named("NetworkPolicy", name)["spec"]
    (listening,) = container(name)["ports"]
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == [listening["name"]]
    allowed = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert allowed == {53, 6379} | ({9092} if name == "replog-collector" else set())


def test_everything_is_denied_that_no_policy_allows() -> None:
    deny = named("NetworkPolicy", "replog-deny")["spec"]
    assert (deny["policyTypes"], deny.get("ingress"), deny.get("egress")) == (["Ingress", "Egress"], None, None)
    labels = named("Deployment", "replog-api")["spec"]["template"]["metadata"]["labels"].items()
    assert deny["podSelector"]["matchLabels"].items() <= labels
