// Shows openapi.json. Nothing is asked of any other server, and the token is forgotten with the page.
SwaggerUIBundle({
  url: "v1/openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null,
  persistAuthorization: false,
  displayRequestDuration: true,
});
