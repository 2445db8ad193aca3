// Starts Swagger UI on the OpenAPI document beside this page.
"use strict";

/** Follow the system's theme, which Swagger UI knows as a class. */
function followTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", apply);
  apply();
}

/** All parameters of the document, those that operations share and those of their own. */
function parametersOf(openapi) {
  const operations = Object.values(openapi.paths).flatMap((path) => Object.values(path));
  const own = operations.flatMap((operation) => operation.parameters ?? []);
  return [...Object.values(openapi.components?.parameters ?? {}), ...own];
}

/** Leave optional parameters empty: Swagger UI would fill each with its example, and send them all. */
function withoutOptionalExamples(openapi) {
  for (const parameter of parametersOf(openapi)) {
    if (parameter.required) continue;
    for (const part of [parameter, parameter.schema ?? {}]) {
      delete part.example;
      delete part.examples;
    }
  }
}

/** Read the document. Its server is the address at which this page is served: a proxy may have added a prefix. */
async function readDocument() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const openapi = await answer.json();
  const here = new URL(".", location.href).href.replace(/\/$/, "");
  openapi.servers = [{ ...openapi.servers?.[0], url: here }];
  withoutOptionalExamples(openapi);
  return openapi;
}

/** Show why there is nothing to show. */
function showError(error) {
  document.getElementById("explorer").textContent = `The API's document cannot be read. ${error.message}`;
}

followTheme();
readDocument().then((spec) => {
  SwaggerUIBundle({
    spec,
    domNode: document.getElementById("explorer"),
    deepLinking: true,
    tryItOutEnabled: true,
    // The token is kept in memory, and is gone with the page.
    persistAuthorization: false,
    // No request to another server.
    validatorUrl: null,
  });
}, showError);
