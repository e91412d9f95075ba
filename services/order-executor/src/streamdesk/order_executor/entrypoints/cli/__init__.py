"""The service's commands, one module a subject; `app` lists them."""
