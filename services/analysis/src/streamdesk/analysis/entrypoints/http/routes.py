"""The HTTP application: its routes, their documentation, and its errors."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from streamdesk.analysis.entrypoints.http import answers
from streamdesk.analysis.entrypoints.http.analysis_endpoints import AnalysisEndpoints
from streamdesk.analysis.entrypoints.http.middleware import FastPath, FastPathMiddleware
from streamdesk.analysis.entrypoints.http.operation_endpoints import OperationEndpoints
from streamdesk.analysis.entrypoints.http.replies import failure, refusal, success
from streamdesk.analysis.entrypoints.http.requests import (
    LONGEST_SYMBOL,
    BatchQuestion,
    PreloadQuestion,
    Question,
    SymbolQuestion,
)
from streamdesk.analysis.errors import AnalysisError
from streamdesk.bus import BusError
from streamdesk.contracts.events.analysis import HamaPreset
from streamdesk.market.errors import MarketError
from streamdesk.runtime import logger

log = logger(__name__)

PREFIX = "/api/gainer-analysis"
ABOUT = """HAMA analyses of instruments, cached; their schedule; and the daily indicators.

Every answer is an envelope: `{"code": 1, "msg": "success", "data": …}`, or `{"code": 0, "msg":
"what is wrong and what to do", "data": null}` with the HTTP status that fits.

Analyses carry `ETag`, `Age` and `Cache-Control`; with `If-None-Match` an unchanged one is 304."""

Responses = dict[int | str, dict[str, Any]]
_MEANINGS = {
    304: "The client has the current analysis.",
    400: "The body is not JSON.",
    404: "Unknown instrument, or too few bars of it.",
    409: "Not now: it is in progress, or switched off.",
    413: "The body is too large.",
    422: "The body is JSON, but not this question; or it names too many symbols.",
    503: "Bars or Redis are unavailable: `Retry-After` says when to try again.",
}


class Api:
    """All routes.

    Args:
        analyses: the endpoints of analyses.
        operations: the endpoints of the schedule and the job.
    """

    def __init__(self, analyses: AnalysisEndpoints, operations: OperationEndpoints) -> None:
        self._endpoints = analyses
        self._operations = operations
        self._router = APIRouter(prefix=PREFIX)
        self._fast_paths: dict[str, FastPath] = {}

    def application(self) -> FastPathMiddleware:
        """The application, with the middleware in front."""
        app = FastAPI(
            title="Streamdesk analysis",
            description=ABOUT,
            version="1",
            docs_url=None,  # its page loads scripts from a CDN
            redoc_url=None,
            openapi_url=f"{PREFIX}/openapi.json",
        )
        self._analyses()
        self._schedule()
        self._job()
        app.include_router(self._router)
        app.add_exception_handler(RequestValidationError, _invalid)
        app.add_exception_handler(HTTPException, _http_error)
        for kind in (AnalysisError, MarketError, BusError, Exception):
            app.add_exception_handler(kind, _failed)
        return FastPathMiddleware(app, self._fast_paths, frozenset(app.openapi()["paths"]))

    def _analyses(self) -> None:
        endpoints = self._endpoints
        self._fast("analyze-symbol", endpoints.symbol, SymbolQuestion, answers.Analysis, 304, 404)
        self._fast("analyze-batch", endpoints.batch, BatchQuestion, answers.BatchAnswer, 304, 404)
        self._fast("preload", endpoints.preload, PreloadQuestion, answers.Preloaded)

        async def analysis(
            request: Request,
            symbol: Annotated[
                str,
                Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9.\-]*$", max_length=LONGEST_SYMBOL),
            ],
            preset: Annotated[HamaPreset | None, Query(description="Edition of HAMA.")] = None,
        ) -> Response:
            """The analysis of one instrument, for caches between the service and its clients."""
            tag = request.headers.get("if-none-match", "").encode()
            question = SymbolQuestion(symbol=symbol, preset=preset)
            return (await endpoints.question(question, tag)).response()

        self._router.add_api_route(
            "/analyses/{symbol}",
            analysis,
            responses=_responses(answers.Analysis, 304, 404, 422, 503),
        )
        self._plain("GET", "cache-stats", endpoints.cache_report, answers.CacheReport)

    def _schedule(self) -> None:
        operations = self._operations
        status = answers.ScheduleStatus
        self._plain("POST", "scheduler/start", operations.start, status, 409, 503)
        self._plain("POST", "scheduler/stop", operations.stop, status, 409, 503)
        self._plain("GET", "scheduler/status", operations.status, status)
        self._plain("POST", "scheduler/fire", operations.fire, answers.Preloaded, 409)

        async def preview(
            count: Annotated[int, Query(ge=1, le=100, description="How many.")] = 10,
        ) -> Response:
            """The next slots, as if the schedule ran."""
            return success(await operations.preview(count)).response()

        self._router.add_api_route(
            "/scheduler/preview", preview, responses=_responses(answers.Slots, 422)
        )

    def _job(self) -> None:
        operations = self._operations
        begin, runs = operations.start_job, operations.runs
        self._plain("POST", "jobs/indicators", begin, answers.Started, 404, 409, 503, status=202)
        self._plain("GET", "jobs/indicators", runs, answers.JobRuns, 404, 503)

    def _fast(
        self,
        name: str,
        answer: FastPath,
        question: type[Question],
        data: type[BaseModel],
        *more: int,
    ) -> None:
        """A POST that the middleware answers; the framework only documents it."""
        self._fast_paths[f"{PREFIX}/{name}"] = answer

        async def documented(request: Request) -> Response:
            return (await answer(await request.body(), b"")).response()

        self._router.add_api_route(
            f"/{name}",
            documented,
            methods=["POST"],
            name=name,
            description=answer.__doc__,
            responses=_responses(data, 400, 413, 422, 503, *more),
            openapi_extra={"requestBody": self._request_body(question)},
        )

    def _request_body(self, question: type[Question]) -> dict[str, Any]:
        schema = question.model_json_schema()
        symbols = schema["properties"].get("symbols", {})
        for part in [symbols, *symbols.get("anyOf", [])]:
            if part.get("type") == "array":
                part["maxItems"] = self._endpoints.max_batch
        examples = {str(n): {"value": value} for n, value in enumerate(schema.pop("examples"), 1)}
        content = {"application/json": {"schema": schema, "examples": examples}}
        return {"required": question is not PreloadQuestion, "content": content}

    def _plain(
        self,
        method: str,
        name: str,
        act: Callable[[], Awaitable[BaseModel]],
        data: type[BaseModel],
        *more: int,
        status: int = 200,
    ) -> None:
        """A route without a request body."""

        async def answer() -> Response:
            return success(await act(), status).response()

        self._router.add_api_route(
            f"/{name}",
            answer,
            methods=[method],
            name=f"{method} {name}",
            description=act.__doc__,
            status_code=status,
            responses=_responses(data, *more, status=status),
        )


def _responses(data: type[BaseModel], *errors: int, status: int = 200) -> Responses:
    good: Responses = {status: {"model": answers.SuccessAnswer[data]}}  # type: ignore[valid-type] # a model made at run time
    for code in errors:
        good[code] = {"description": _MEANINGS[code]}
        if code != 304:  # noqa: PLR2004 - Not Modified has no body
            good[code]["model"] = answers.ErrorAnswer
    return good


async def _invalid(_request: Request, error: Exception) -> Response:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    words = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems]
    return refusal(422, "; ".join(words)).response()


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return await _failed(request, error)
    words = {
        404: f"there is nothing at {request.url.path}: see {PREFIX}/openapi.json",
        405: f"{request.method} is not for {request.url.path}: see {PREFIX}/openapi.json",
    }
    headers = [
        (name.lower().encode(), each.encode()) for name, each in (error.headers or {}).items()
    ]
    return refusal(
        error.status_code, words.get(error.status_code, error.detail), headers
    ).response()


async def _failed(_request: Request, error: Exception) -> Response:
    reply = failure(error)
    if reply.status == 500:  # noqa: PLR2004 - unforeseen errors have no other status
        log.error("request failed", exc_info=error)
    return reply.response()
