"""Scoring one object: rows in, the same file with predictions out, over several invocations.

    s3://IN/reviews.csv.gz -> s3://OUT/PREFIX/IN/reviews.csv.gz
                              s3://OUT/PREFIX/IN/reviews.csv.gz.rejected   rows left out, and why
                              s3://OUT/PREFIX/.minnow/JOB/                 tails, until it is done

JOB is a hash of the object's version, the model's bundle, name and version, and what else decides
the result's bytes; the result carries it as metadata. So any delivery, first, second or of a
continuation, ends in one of three ways: the result with this JOB stands and nothing is to be done;
it carries on; or the state it was given is gone without a result, and it begins again. Killed
anywhere, the message comes again and takes one of the three.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

from handler.aws import error_code
from handler.errors import DeliveryError, HandlerError, InvalidInput
from handler.event_settings import Target
from handler.events.resources import Invocation
from handler.events.review import send_row_reviews
from handler.events.work import CONTINUE, ObjectRef
from handler.objects.admission import (
    find_format,
    name_marker,
    pass_over,
    refuse_own_result,
    unpack_format,
)
from handler.objects.source import ObjectChanged, ObjectFile, ObjectGone, open_object
from handler.objects.upload import Upload, UploadFile, UploadGone, remove_object
from handler.rows.formats import Format, compress
from handler.rows.reader import open_rows
from handler.rows.rows import Position, Rows
from handler.rows.score import encode_block, predict_each, read_blocks

logger = logging.getLogger("minnow")
STATE = ".minnow/"
RESTARTS = 3  # each needs another process to have taken the upload away meanwhile


@dataclass(frozen=True)
class Job:
    """What is scored, and the names of everything that comes of it.

    `says_encoding`: a Content-Encoding, not the key, says how the object is compressed; the
    result, of the same name, says it too.
    """

    job_id: str
    source: ObjectRef
    size: int
    file_format: Format
    output: Target
    says_encoding: bool = False

    @property
    def result_key(self) -> str:
        return f"{self.output.path}{self.source.bucket}/{self.source.key}"

    @property
    def rejected_key(self) -> str:
        return f"{self.result_key}.rejected"

    @property
    def state_prefix(self) -> str:
        return f"{self.output.path}{STATE}{self.job_id}/"

    @property
    def cells_key(self) -> str:
        """Where the rows go first: a Parquet file's cells are joined to it at the end."""
        is_parquet = self.file_format.kind == "parquet"
        return f"{self.state_prefix}cells" if is_parquet else self.result_key


def score_object(
    reference: ObjectRef, progress: dict[str, Any], invocation: Invocation
) -> dict[str, Any]:
    """Score an object, or carry on with it; return what became of it.

    Args:
        reference: The object, as the event names it.
        progress: A continuation message's content; empty at first.
        invocation: Model, settings and clients, and the deadline before which it is handed on.

    Returns:
        `{"status": "done", "result": "s3://..."}`, `{"status": "superseded"}`, `{"status":
        "continued", "rows", "result", "job"}`, whose metadata will have job as `minnow-job`, or
        `{"status": "passed over", "reason"}` for an object that holds no texts or is gone.

    Raises:
        InvalidInput: The object can never be scored, or is one of our own results.
        DeliveryError: Something failed that may pass.
    """
    if marker := name_marker(reference.key):
        return pass_over(marker)
    resources, model = invocation.resources, invocation.model
    model.refuse_stand_in()
    output = resources.settings.object_results
    if output is None:
        raise HandlerError(
            "an object came, and there is nowhere to put its result: set MINNOW_OBJECT_RESULTS to "
            "s3://BUCKET/PREFIX/"
        )
    refuse_own_result(reference, resources.settings)
    try:
        file_format = find_format(reference, invocation.s3)
        if file_format is None:
            return pass_over("an empty file of no format that holds texts")
        file, source = open_object(invocation.s3, reference)
    except ObjectChanged:
        return {"status": "superseded"}
    except ObjectGone:
        return pass_over("it is gone")
    job_id = model.result_id(
        *dataclasses.astuple(source),
        resources.settings.text_column,
        str(model.limits.max_characters),
        # Two versions may share a graph, and differ in labels, tokenizer and the column `version`.
        model.classifier.bundle_sha256,
        model.name,
        model.version,
    )
    packed = unpack_format(file_format, file.content_encoding)
    job = Job(job_id, source, file.size, packed, output, packed != file_format)
    if progress.get("job_id") != job_id:
        progress = {}  # another model was deployed meanwhile: a result is of one model throughout
    for _ in range(RESTARTS):
        try:
            return _run(job, progress, invocation)
        except UploadGone:
            progress = {}
        except ObjectChanged:
            return {"status": "superseded"}
    raise DeliveryError(f"the upload was taken away {RESTARTS} times: try again later")


def _run(job: Job, progress: dict[str, Any], invocation: Invocation) -> dict[str, Any]:
    if not _stands(job, job.result_key, invocation):
        if job.cells_key == job.result_key or not _stands(job, job.cells_key, invocation):
            continuation = _score_rows(job, progress, invocation)
            if continuation is not None:
                return continuation
        if job.cells_key != job.result_key:
            _join_cells(job, invocation)
    _clean_up(job, invocation.s3)
    logger.info("job %s: done", job.job_id)
    return {"status": "done", "result": f"s3://{job.output.name}/{job.result_key}"}


def _score_rows(
    job: Job, progress: dict[str, Any], invocation: Invocation
) -> dict[str, Any] | None:
    """Score until the end, and return None, or until time is up, and hand on."""
    resources, model = invocation.resources, invocation.model
    output, rejected = (
        _open_upload(job, key, invocation) for key in (job.cells_key, job.rejected_key)
    )
    start = Position()
    if progress:
        start = _read_position(progress)
        output.resume(progress.get("output"))
        rejected.resume(progress.get("rejected"))
    try:
        rows = _open_source(job, start, invocation)
        if not start.row and rows.header:
            output.append(compress(rows.header, job.file_format.compression))
        for block in read_blocks(rows, model.limits):
            predictions = predict_each(model.classifier, block.texts)
            send_row_reviews(job.job_id, job.source, block, predictions, invocation)
            content, rejects = encode_block(rows, block, predictions, model.task, model.version)
            if content:
                output.append(compress(content, job.file_format.compression))
            rejected.append(rejects)
            invocation.count_scored(model, block.texts, predictions)
            if invocation.deadline.left_s() * 1000 < resources.settings.reserve_ms:
                return _hand_on(job, block.end, output, rejected, invocation)
    except InvalidInput:
        # Never to be scored: leave no parts behind to be paid for.
        output.abort()
        rejected.abort()
        raise
    # The result comes last: where it stands, all of it stands. Beside it the rejected rows of an
    # earlier version would mislead: where they cannot be removed, an empty object replaces them.
    has_rejected = rejected.buffer or rejected.upload_id
    if has_rejected or not remove_object(invocation.s3, rejected.bucket, rejected.key):
        rejected.finish()
    output.finish()
    return None


def _hand_on(
    job: Job, position: Position, output: Upload, rejected: Upload, invocation: Invocation
) -> dict[str, Any]:
    queue = invocation.resources.continuation_queue
    if queue is None:
        output.abort()
        rejected.abort()
        raise DeliveryError(
            f"time was up after {position.row} rows: set MINNOW_CONTINUATION_QUEUE to the "
            "function's own queue, or give the function more time or memory"
        )
    progress = {
        **dataclasses.asdict(job.source),
        "job_id": job.job_id,
        **dataclasses.asdict(position),
        "output": output.suspend(),
        "rejected": rejected.suspend(),
    }
    try:
        invocation.deadline.run(partial(queue.send_text, json.dumps({CONTINUE: progress})))
    except Exception as error:
        raise DeliveryError(f"the continuation was not sent: {error_code(error)}") from error
    logger.info("job %s: handed on after row %d", job.job_id, position.row)
    told = {"result": f"s3://{job.output.name}/{job.result_key}", "job": job.job_id}
    return {"status": "continued", "rows": position.row, **told}


def _join_cells(job: Job, invocation: Invocation) -> None:
    from handler.rows.parquet import join_cells

    model = invocation.model
    cells_file, _ = open_object(invocation.s3, ObjectRef(job.output.name, job.cells_key))
    upload = _open_upload(job, job.result_key, invocation)
    join_cells(
        _buffered(ObjectFile(invocation.s3, job.source, job.size)),
        _buffered(cells_file),
        cast(BinaryIO, UploadFile(upload)),
        model.task.columns,
        model.version,
    )
    upload.finish()


def _stands(job: Job, key: str, invocation: Invocation) -> bool:
    """Say whether `key` is an object of this very job."""
    try:
        head = invocation.s3.head_object(Bucket=job.output.name, Key=key)
    except Exception as error:
        # Without s3:ListBucket S3 answers 403 for what does not exist.
        if error_code(error) in ("404", "403", "NoSuchKey", "AccessDenied", "Forbidden"):
            return False
        raise DeliveryError(f"head_object failed: {error_code(error)}") from error
    return bool(head["Metadata"].get("minnow-job") == job.job_id)


def _clean_up(job: Job, s3: Any) -> None:
    """Remove tails, and uploads that killed invocations left. What fails is left to the bucket's
    lifecycle rule: the result stands, and doing it all again would not remove more."""
    bucket = job.output.name
    try:
        left = s3.list_objects_v2(Bucket=bucket, Prefix=job.state_prefix).get("Contents", [])
        if left:
            keys = [{"Key": entry["Key"]} for entry in left]
            reply = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
            if refused := {entry["Code"] for entry in reply.get("Errors", [])}:
                logger.warning("job %s: not all tails were removed: %s", job.job_id, refused)
        for key in {job.result_key, job.rejected_key, job.cells_key}:
            reply = s3.list_multipart_uploads(Bucket=bucket, Prefix=key)
            for entry in reply.get("Uploads", []):
                if entry["Key"] == key:
                    s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=entry["UploadId"])
    except Exception as error:  # any error of the client: see above
        logger.warning("job %s: not all state was removed: %s", job.job_id, error_code(error))


def _open_upload(job: Job, key: str, invocation: Invocation) -> Upload:
    model = invocation.model
    metadata = {
        "minnow-job": job.job_id,
        "minnow-model-version": model.version,
        "minnow-model-sha256": model.sha256,
    }
    encoding = job.file_format.compression if job.says_encoding and key == job.result_key else ""
    return Upload(invocation.s3, job.output.name, key, metadata, job.state_prefix, encoding)


def _open_source(job: Job, start: Position, invocation: Invocation) -> Rows:
    resources = invocation.resources
    stream = _buffered(ObjectFile(invocation.s3, job.source, job.size))
    columns = [resources.settings.text_column]
    return open_rows(stream, job.file_format, columns, start, invocation.model.task.columns)


def _buffered(file: ObjectFile) -> BinaryIO:
    return io.BufferedReader(file, 1 << 17)


def _read_position(progress: dict[str, Any]) -> Position:
    row, offset = progress.get("row"), progress.get("offset")
    if not isinstance(row, int) or not isinstance(offset, int) or row < 0 or offset < 0:
        raise InvalidInput("the continuation holds no position", field=CONTINUE)
    return Position(row, offset)
