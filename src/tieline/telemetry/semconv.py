"""The names of attributes, in one table: OpenTelemetry's where it has one, else Tieline's own.

Semantic conventions 1.37 (https://opentelemetry.io/docs/specs/semconv/): HTTP is stable, ``gen_ai`` is in development.
Where a name changes there, it changes here. Bodies, prompts and answers have names there too; Tieline sends none.
"""

from typing import Final

# Stable: HTTP, errors and servers.
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_RESEND_COUNT: Final = "http.request.resend_count"
HTTP_REQUEST_SIZE: Final = "http.request.body.size"
HTTP_RESPONSE_SIZE: Final = "http.response.body.size"
HTTP_ROUTE: Final = "http.route"
URL_PATH: Final = "url.path"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"

# In development: GenAI.
GEN_AI_OPERATION: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
GEN_AI_MODEL: Final = "gen_ai.response.model"
GEN_AI_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GEN_AI_TIER: Final = "openai.response.service_tier"

# Stable: resources.
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE: Final = "service.instance.id"

# Those of Tieline.
REQUEST_ID: Final = "tieline.request.id"
API: Final = "tieline.api"
CALL: Final = "tieline.call"
APP_ID: Final = "tieline.app.id"
KEY_ID: Final = "tieline.key.id"
ENVIRONMENT: Final = "tieline.environment"
AREA: Final = "tieline.area"
LEVEL: Final = "tieline.level"
CODE: Final = "tieline.code"
OUTCOME: Final = "tieline.outcome"
REASON: Final = "tieline.reason"
CACHE: Final = "tieline.cache"
TAG: Final = "tieline.tag"
COST: Final = "tieline.cost.usd"
ESTIMATED: Final = "tieline.usage.estimated"
QUANTITY: Final = "tieline.usage."
"""Begins the name of a quantity that the conventions have no name for."""

TOKENS: Final = {"input_tokens": GEN_AI_INPUT_TOKENS, "output_tokens": GEN_AI_OUTPUT_TOKENS}
"""The quantities that the conventions have a name for."""
OPERATIONS: Final = (
    ("/chat/completions", "chat"),
    ("/messages", "chat"),
    ("/responses", "chat"),
    (":generatecontent", "generate_content"),
    (":streamgeneratecontent", "generate_content"),
    ("/completions", "text_completion"),
    ("/embeddings", "embeddings"),
)
"""Ends of paths, in small letters, and what is done there."""
PROVIDERS: Final = {
    "openai": "openai",
    "azure-openai": "azure.ai.openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
    "google-gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "groq": "groq",
    "perplexity": "perplexity",
    "xai": "x_ai",
}
"""Names of APIs for which the conventions have a provider's; another API goes by its own name."""


def operation_of(path: str) -> str | None:
    """What a request to ``path`` does, where the conventions have a word for it."""
    low = path.lower()
    return next((name for end, name in OPERATIONS if low.endswith(end)), None)
