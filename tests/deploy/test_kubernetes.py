"""The manifests: built as `kubectl apply -k` builds them, and held against the schemas of everything they name."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema_rs import validator_for

from replog.settings import ApiSettings, CollectorSettings, load, secrets_of, variable

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
#: The settings of each deployment.
SETTINGS: dict[str, type[CollectorSettings | ApiSettings]] = {
    "replog-collector": CollectorSettings,
    "replog-api": ApiSettings,
}
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
    known = {variable(field) for field in SETTINGS[name].model_fields}
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


@each_deployment
def test_secrets_are_files_that_kubernetes_writes_anew(name: str) -> None:
    """None stands in a manifest, and each file is a key that the example makes, readable for the pod's group alone."""
    (secret,) = (one for one in OBJECTS["example"] if (one["kind"], one["metadata"]["name"]) == ("Secret", name))
    files = {variable(f"{field}_file") for field in secrets_of(SETTINGS[name])}
    values = {one["name"]: one["value"] for one in container(name)["env"]}
    assert values.keys().isdisjoint(variable(field) for field in secrets_of(SETTINGS[name]))
    (mount,) = (one for one in container(name)["volumeMounts"] if one["name"] == "secrets")
    assert mount == {"name": "secrets", "mountPath": "/run/secrets/replog", "readOnly": True}
    paths = {Path(values[one]) for one in files & values.keys()}
    assert {path.parent for path in paths} == {Path(mount["mountPath"])}
    assert {path.name for path in paths} == secret["data"].keys()
    (volume,) = (one for one in pod(name)["volumes"] if one["name"] == "secrets")
    assert volume["secret"] == {"secretName": name, "defaultMode": 0o440}
    assert pod(name)["securityContext"]["fsGroup"] == pod(name)["securityContext"]["runAsGroup"]


@each_deployment
def test_the_examples_of_secrets_are_such_as_the_services_take(name: str, tmp_path: Path) -> None:
    (secret,) = (one for one in OBJECTS["example"] if (one["kind"], one["metadata"]["name"]) == ("Secret", name))
    for key, value in secret["data"].items():
        (tmp_path / key).write_bytes(base64.b64decode(value))
    given = {one["name"]: one["value"] for one in container(name)["env"] if one["name"].endswith("_FILE")}
    overrides = {
        variable_name.removeprefix("REPLOG_").lower(): tmp_path / Path(path).name
        for variable_name, path in given.items()
    }
    load(SETTINGS[name], **overrides)


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
