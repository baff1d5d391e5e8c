"""The same random events into every store give the same tables, whatever is killed meanwhile."""
import base64
import datetime
import decimal
import json
import os
import random
import uuid

import pytest

from servers import eventually

EVENTS = 4000
SEED = int(os.environ.get("READSIDE_SEED", random.SystemRandom().randrange(1 << 32)))
WORDS = ["", "a", "A", "a ", "\u00e4", "a\u0308", "'; DROP TABLE things; --", "\\", "\n", "\U0001f600", "%_", "null", "0"]
DOCS = [{}, [], {"b": [1, None, {"c": "\u00e9"}], "a": True}, "text", 17, {"long": "x" * 5000}]
DAYS = ["0001-01-01", "1969-12-31", "1970-01-01", "2026-11-23", "9999-12-31"]
MOMENTS = ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2026-11-23T04:00:00.123456Z", "2026-03-29T02:30:00+02:00",
           "9999-12-31T23:59:59.999999Z"]
REALS = [0.0, 0.1, -1.5, 5e-324, 1.7976931348623157e308, 2.0 ** 53 + 2, 1e-7]
WHOLES = [0, 1, -1, 2 ** 63 - 1, -2 ** 63]
EXACTS = ["0", "0.0000000001", "-" + "9" * 28 + "." + "9" * 10, "12.5", "1e3"]
# What each column is compared as. The keys come first.
THINGS = {"thing": "text", "number": "whole", "whole": "whole", "real_": "real", "exact": "exact", "words": "text", "name": "text",
          "flag": "flag", "data": "bytes", "doc": "doc", "moment": "moment", "day": "day", "id": "uuid", "count": "whole",
          "amount": "exact", "top": "exact", "least": "moment"}
SUMS = {"on_": "day", "n": "whole", "sum_": "exact", "last_": "moment", "first_": "whole", "last_words": "text", "last_id": "uuid",
        "least_data": "bytes"}


def some(rng, choices):
    """Each with even chances to be there; a value is drawn anyway, so that one choice does not change the next."""
    drawn = {name: make() for name, make in choices.items()}
    return {name: value for name, value in drawn.items() if rng.random() < 0.5}


def random_records(seed):
    rng = random.Random(seed)
    for _ in range(EVENTS):
        thing = f"{rng.choice(WORDS)}-{rng.randrange(40)}"
        kind = rng.choices(["Set", "Add", "Clear", "Copy", "Remove"], [50, 30, 5, 10, 5])[0]
        value = {"type": kind, "thing": thing, "number": rng.randrange(3), "on": rng.choice(DAYS), "moment": rng.choice(MOMENTS),
                 "amount": f"{rng.randrange(-10 ** 6, 10 ** 6) / 100:.2f}"}
        fields = some(rng, {
            "whole": lambda: rng.choice(WHOLES), "real": lambda: rng.choice(REALS) * rng.choice([1, -1]), "exact": lambda: rng.choice(EXACTS),
            "words": lambda: rng.choice(WORDS) * rng.choice([1, 1, 30000]), "name": lambda: rng.choice(WORDS), "flag": lambda: rng.random() < 0.5,
            "data": lambda: base64.b64encode(rng.randbytes(rng.choice([0, 1, 40]))).decode(), "doc": lambda: rng.choice(DOCS),
            "day": lambda: rng.choice(DAYS), "id_": lambda: str(uuid.UUID(int=rng.getrandbits(128)))})
        yield thing, {**value, **(fields if kind == "Set" else {})}


def moment(value):
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value


FORMS = {
    "text": str, "whole": int, "real": float, "flag": bool, "bytes": bytes, "moment": moment,
    "exact": lambda value: decimal.Decimal(value).normalize(decimal.Context(prec=60)),
    "doc": lambda value: json.loads(value) if isinstance(value, str) else value,
    "day": str,
    "uuid": lambda value: uuid.UUID(bytes=bytes(value)) if isinstance(value, (bytes, memoryview)) else uuid.UUID(value),
}


def doc_of(store):
    """PostgreSQL's client reads documents by itself, and could not tell the text "17" from the number."""
    return "doc::text" if store.kind == "postgresql" else "doc"


def rows_of(store, table, columns):
    names = ", ".join(doc_of(store) if name == "doc" else name for name in columns)
    rows = [tuple(None if value is None else FORMS[form](value) for value, form in zip(row, columns.values()))
            for row in store.query(f"SELECT {names} FROM {table}")]
    return sorted(rows, key=lambda row: (str(row[0]), str(row[1])))


def fill(made, records):
    """Half of the records, kills while they are taken in, the other half."""
    rng = random.Random(SEED)
    worker = made.worker()
    for part in range(4):
        made.produce(records[part * len(records) // 4:(part + 1) * len(records) // 4])
        tasks = eventually(lambda: worker.tasks(2), 30)
        worker.kill_task(rng.randrange(len(tasks)))
    made.reaches_end(120)


@pytest.fixture(scope="module")
def expected():
    """Of the first store; the others are compared with it."""
    return {}


def test_all_stores_agree(scene, store, expected):
    records = list(random_records(SEED))
    made = scene(store, partitions=4, tasks=2, plugin="every", batch_rows=37)
    fill(made, records)
    things, sums = rows_of(store, "things", THINGS), rows_of(store, "days", SUMS)
    assert len(things) > 300 and len(sums) == len(DAYS) and sum(row[1] for row in sums) == EVENTS
    first = expected.setdefault("rows", (things, sums))
    for theirs, ours in zip(first, (things, sums)):
        different = [(a, b) for a, b in zip(theirs, ours) if a != b]
        assert len(theirs) == len(ours) and different == [], f"READSIDE_SEED={SEED}: {different[:3]}"
