"""An HTTP server for one package: python server.py OUT.octet [--port 8000] [--streams N] [--wait MS] [--queue N]

    POST /infer      an .npz with the inputs of one sample, named as the network's -> an .npz with its outputs
    GET  /signature  names, shapes and types, as JSON
    GET  /health     200 while it answers

As many inferences run at one time as there are streams, each on one core. A package with a batch (compile-model --batch
8) gathers requests: the first one waits at most --wait milliseconds for others. Requests beyond --queue are told 503 at
once instead of waiting for ever. Needs: pip install 'octet[serve]'."""

import argparse
import asyncio
import contextlib
import io
import math

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import octet
from octet.targets.npz import npz_bytes, read_npz

_HEADER = 4096  # An .npz has at most so many bytes beside an array.
_COUNTED = (
    "outputs of which a run gives another number each time cannot be parted between requests; compile the package "
    "with --batch 1"
)


class Batcher:
    """Answers single samples with runs of a session. wait: seconds that a sample waits for others to fill its run.
    most: samples that wait at one time."""

    def __init__(self, session, wait: float, most: int):
        if session.batch > 1 and any(spec.counted is not None for spec in session.outputs):
            raise octet.OctetError(_COUNTED)
        self.session, self._wait = session, wait
        self._queue: asyncio.Queue = asyncio.Queue(most)
        self.shapes = {spec.name: self._of_sample(spec) for spec in session.inputs}

    def _of_sample(self, spec):
        """The shape of an input with one sample in it: extent 1 along the batch axis."""
        axis = spec.batch_axis if self.session.batch > 1 else None
        return spec.shape if axis is None else (*spec.shape[:axis], 1, *spec.shape[axis + 1 :])

    def check(self, arrays) -> None:
        """Raises ValueError for arrays that are no sample: they would spoil the answers of all that share their run."""
        if arrays.keys() != self.shapes.keys():
            raise ValueError(f"the inputs are {', '.join(self.shapes)}, not {', '.join(arrays) or 'nothing'}")
        for spec in self.session.inputs:
            array = arrays[spec.name]
            if array.shape != self.shapes[spec.name] or str(array.dtype) != spec.dtype:
                raise ValueError(
                    f"{spec.name} is {array.dtype} {list(array.shape)}, the network takes {spec.dtype} "
                    f"{list(self.shapes[spec.name])}"
                )

    async def answer(self, arrays) -> dict:
        """The outputs of one sample. Raises asyncio.QueueFull where too many wait."""
        done = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((arrays, done))
        return await done

    async def work(self) -> None:
        """Runs for ever; one task of this for each stream."""
        while True:
            taken = await self._gather()
            try:
                outputs = await self.session.run_async(self._joined([arrays for arrays, _ in taken]))
                for i, (_, done) in enumerate(taken):
                    # The caller may have gone.
                    if not done.done():
                        done.set_result(self._part(outputs, i))
            except Exception as error:
                for _, done in taken:
                    if not done.done():
                        done.set_exception(error)

    async def _gather(self):
        taken = [await self._queue.get()]
        until = asyncio.get_running_loop().time() + self._wait
        while len(taken) < self.session.batch:
            with contextlib.suppress(asyncio.QueueEmpty):
                taken.append(self._queue.get_nowait())
                continue
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            try:
                taken.append(await asyncio.wait_for(self._queue.get(), left))
            except TimeoutError:
                break
        return taken

    def _joined(self, samples):
        batch = self.session.batch
        if batch == 1:
            return samples[0]
        samples = samples + [samples[-1]] * (batch - len(samples))
        axes = {spec.name: spec.batch_axis for spec in self.session.inputs}
        return {
            name: samples[0][name] if axis is None else np.concatenate([sample[name] for sample in samples], axis)
            for name, axis in axes.items()
        }

    def _part(self, outputs, i):
        if self.session.batch == 1:
            return outputs
        axes = {spec.name: spec.batch_axis for spec in self.session.outputs}
        return {
            name: array if axes[name] is None else np.take(array, [i], axes[name]) for name, array in outputs.items()
        }


def application(session, wait: float = 0.002, most: int = 64) -> Starlette:
    """The server's routes around a session; see Batcher."""
    batcher = Batcher(session, wait, most)
    limit = sum(
        math.prod(batcher.shapes[spec.name]) * np.dtype(spec.dtype).itemsize + _HEADER for spec in session.inputs
    )

    async def infer(request: Request) -> Response:
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    return PlainTextResponse(f"more than the {limit} bytes of a sample", 413)
            arrays = read_npz(io.BytesIO(body), limit)
            batcher.check(arrays)
        except ClientDisconnect:
            return Response(status_code=400)
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        try:
            outputs = await batcher.answer(arrays)
        except asyncio.QueueFull:
            return PlainTextResponse("too many requests wait", 503, headers={"Retry-After": "1"})
        return Response(npz_bytes(outputs, compress=False), media_type="application/octet-stream")

    async def signature(request: Request) -> Response:
        return JSONResponse(
            {
                "inputs": [
                    {"name": spec.name, "shape": batcher.shapes[spec.name], "dtype": spec.dtype}
                    for spec in session.inputs
                ],
                "outputs": [{"name": spec.name, "dtype": spec.dtype} for spec in session.outputs],
                "target": session.target,
                "batch": session.batch,
                "streams": session.streams,
            }
        )

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    @contextlib.asynccontextmanager
    async def lifespan(app):
        workers = [asyncio.create_task(batcher.work()) for _ in range(session.streams)]
        yield
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    routes = [Route("/infer", infer, methods=["POST"]), Route("/signature", signature), Route("/health", health)]
    return Starlette(routes=routes, lifespan=lifespan)


def _between(kind, low, high=math.inf):
    """A type of an option for argparse: a number that lies there."""

    def number(text):
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"{text} is not between {low} and {high}"
                if high < math.inf
                else f"{text} is less than {low}, or no number"
            )
        return value

    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_between(int, 0, 65535), default=8000)
    parser.add_argument("--streams", type=_between(int, 1), help="inferences at one time [default: one per core]")
    parser.add_argument(
        "--wait",
        type=_between(float, 0),
        default=2.0,
        help="milliseconds that the first request of a batch waits for others",
    )
    parser.add_argument(
        "--queue", type=_between(int, 1), default=64, help="requests that wait at one time; others are told 503"
    )
    given = parser.parse_args()
    try:
        session = octet.load(given.package, threads=1, streams=given.streams)
        app = application(session, given.wait / 1000, given.queue)
    except octet.OctetError as error:
        raise SystemExit(f"server: {error}") from None
    with session:
        uvicorn.run(app, host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
