// Shows openapi.json. Nothing is asked of any other server, and the token is forgotten with the page.
// Who has logged in with this browser needs no token: the browser sends the cookie, and this adds what proves that the
// request comes from here.
(() => {
  const session = new URL("v1/session", document.baseURI).href;
  let proof = "";

  const told = (answer) => {
    if (answer.url !== session) return;
    proof = answer.ok ? (answer.body ? answer.body.csrf_token || "" : "") : proof;
  };

  const show = () =>
    SwaggerUIBundle({
      url: "v1/openapi.json",
      dom_id: "#operations",
      deepLinking: true,
      docExpansion: "none",
      validatorUrl: null,
      persistAuthorization: false,
      displayRequestDuration: true,
      requestInterceptor: (request) => {
        if (proof && !request.headers.Authorization) request.headers["X-CSRF-Token"] = proof;
        return request;
      },
      responseInterceptor: (answer) => {
        told(answer);
        return answer;
      },
    });

  fetch(session)
    .then(async (answer) => told({ url: session, ok: answer.ok, body: answer.ok ? await answer.json() : null }))
    .finally(show);
})();
