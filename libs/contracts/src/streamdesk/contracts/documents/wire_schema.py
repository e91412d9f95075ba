"""JSON schema as this project writes it on the wire."""

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class WireSchema(GenerateJsonSchema):
    """JSON schema of what is on the wire: a decimal is a string marked as one."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:  # noqa: ARG002 - its bounds are for numbers, not for strings
        """A decimal number as a JSON string."""
        return {"type": "string", "format": "decimal"}
