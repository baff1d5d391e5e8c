#!/usr/bin/env python3
"""Writes the golden files NAME.expected from the events in PLUGIN.jsonl, for each line of golden/cases.

It is an oracle of its own: it shares no code with Readside and folds one event after the other. The format is that of
`readside test-plugin`: the tables in the order of the plugin, rows in key order (text byte by byte), then the outbox if it holds
anything, then the number of events that were skipped (type without handler, or RS_SKIP), then one line for each poison event. The
topic is `test`; an event's offset is its line in the file, from 0. A reason that the host words, not the plugin, is "*" here:
compare it with any reason.
"""
import json
import pathlib
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

GOLDEN = pathlib.Path(__file__).parent / "golden"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
STAMP = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class Poison(Exception):
    """The event can never succeed."""


class Skip(Exception):
    """The event is not for the plugin."""


class Number(str):
    """A JSON number by its own text."""


def need(event, name, kind, fallback=None):
    """The getters: kind is text, int, decimal, time or json."""
    value = event.get(name)
    if value is None:
        if fallback is not None:
            return fallback
        raise Poison("*")
    if kind == "json":
        return compact(value)
    if kind == "text" and isinstance(value, str) and not isinstance(value, Number):
        return value
    if kind == "int" and isinstance(value, Number) and re.fullmatch(r"-?\d+", value) and -2**63 <= int(value) < 2**63:
        return int(value)
    if kind == "decimal" and isinstance(value, str) and NUMBER.fullmatch(value):
        number = Decimal(value)
        if number == 0 or number.normalize().as_tuple().exponent >= -38 and number.adjusted() < 38:
            return number
    if kind == "time" and isinstance(value, str):
        match = STAMP.fullmatch(value)
        if match and not (match[2] or "")[6:].strip("0"):
            moment = datetime.fromisoformat(match[1].upper() + match[3].upper().replace("Z", "+00:00"))
            fraction = int((match[2] or "")[:6].ljust(6, "0"))
            return (moment - EPOCH) // timedelta(microseconds=1) + fraction
    raise Poison("*")


def compact(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(compact(str(k)) + ":" + compact(v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def fit_decimal(number, precision, scale):
    if number != round(number, scale) or abs(number) >= Decimal(10) ** (precision - scale):
        raise Poison("*")
    return number


def fit_text(value, length):
    if len(value) > length or "\0" in value:
        raise Poison("*")
    return value


def show(value, kind):
    if value is None:
        return r"\N"
    if kind == "time":
        return (EPOCH + timedelta(microseconds=value)).strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0") + "Z"
    if kind == "day":
        return (EPOCH + timedelta(days=value)).strftime("%Y-%m-%d")
    if kind.startswith("decimal"):
        return f"{value + 0:.{kind[7:]}f}" if value else f"{Decimal(0):.{kind[7:]}f}"
    return str(value).replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")


class Projection:
    """Staged copies of the tables give all or nothing."""

    def __init__(self, options):
        self.options = options
        self.rows = {name: {} for name in self.tables}
        self.outbox = []

    def key_is(self, key, first):
        if key is None or key != first:
            raise Poison("*")

    def fold(self, kind, key, event):
        handler = getattr(self, "on_" + (kind or "tombstone"), None)
        if handler is None:
            raise Skip
        before = {name: {k: dict(r) for k, r in rows.items()} for name, rows in self.rows.items()}
        sent = list(self.outbox)
        try:
            handler(key, event)
        except (Poison, Skip):
            self.rows, self.outbox = before, sent
            raise


class Bank(Projection):
    key = "account"
    tables = {
        "accounts": dict(account="text", owner="text", balance="decimal2", events="int", opened_at="time", updated_at="time"),
        "daily_totals": dict(day="day", deposited="decimal2", withdrawn="decimal2", events="int"),
    }

    def __init__(self, options):
        super().__init__(options)
        if options.get("daily_totals") != "true":
            del self.rows["daily_totals"]

    def touch(self, key, event):
        name = fit_text(need(event, "account", "text"), 120)
        self.key_is(key, name)
        empty = dict(account=name, owner="", balance=Decimal(0), events=0, opened_at=None, updated_at=None)
        row = self.rows["accounts"].setdefault(name, empty)
        row["events"] += 1
        row["updated_at"] = need(event, "at", "time")
        return row

    def on_AccountOpened(self, key, event):
        row = self.touch(key, event)
        row["owner"] = need(event, "owner", "text")
        row["opened_at"] = row["updated_at"]

    def move(self, key, event, sign, column):
        amount = fit_decimal(need(event, "amount", "decimal"), 20, 2)
        row = self.touch(key, event)
        row["balance"] += sign * amount
        if "daily_totals" in self.rows:
            day = row["updated_at"] // 86_400_000_000
            total = self.rows["daily_totals"].setdefault(day, dict(day=day, deposited=Decimal(0), withdrawn=Decimal(0), events=0))
            total[column] += amount
            total["events"] += 1

    def on_Deposited(self, key, event):
        self.move(key, event, 1, "deposited")

    def on_Withdrawn(self, key, event):
        self.move(key, event, -1, "withdrawn")


class Orders(Projection):
    key = "order_id"
    tables = {
        "orders": dict(order_id="text", customer="text", status="text", total="decimal2", lines="int", shipping="json",
                       placed_at="time", updated_at="time"),
        "order_lines": dict(order_id="text", line="int", sku="text", quantity="int", amount="decimal2"),
    }

    def order(self, key, event):
        name = fit_text(need(event, "order_id", "text"), 60)
        self.key_is(key, name)
        row = self.rows["orders"].get(name)
        if row is None:
            raise Poison("no such order")
        return row

    def open_order(self, key, event):
        row = self.order(key, event)
        if row["status"] != "open":
            raise Poison("the order is not open")
        row["updated_at"] = need(event, "at", "time")
        return row

    def add_line(self, order, source):
        order["lines"] += 1
        line = dict(order_id=order["order_id"], line=order["lines"], sku=fit_text(need(source, "sku", "text"), 40),
                    quantity=need(source, "quantity", "int", 1), amount=fit_decimal(need(source, "amount", "decimal"), 20, 2))
        order["total"] += line["amount"]
        self.rows["order_lines"][line["order_id"], line["line"]] = line

    def on_OrderPlaced(self, key, event):
        name = fit_text(need(event, "order_id", "text"), 60)
        self.key_is(key, name)
        lines = event.get("lines")
        if lines is not None and not isinstance(lines, list):
            raise Poison("*")
        if name in self.rows["orders"]:
            raise Poison("the order exists already")
        at = need(event, "at", "time")
        row = dict(order_id=name, customer=need(event, "customer", "text"), status="open", total=Decimal(0), lines=0,
                   shipping=None, placed_at=at, updated_at=at)
        if event.get("shipping") is not None:
            row["shipping"] = need(event, "shipping", "json")
        self.rows["orders"][name] = row
        for line in lines or []:
            self.add_line(row, line)

    def on_LineAdded(self, key, event):
        self.add_line(self.open_order(key, event), event)

    def on_LineRemoved(self, key, event):
        order = self.open_order(key, event)
        where = order["order_id"], need(event, "line", "int")
        if where not in self.rows["order_lines"]:
            raise Poison("no such line")
        order["total"] -= self.rows["order_lines"].pop(where)["amount"]

    def on_OrderCompleted(self, key, event):
        order = self.open_order(key, event)
        order["status"] = "completed"
        if self.options.get("completed_topic"):
            value = {"type": "OrderTotalled", "order_id": order["order_id"], "total": show(order["total"], "decimal2")}
            self.outbox.append((self.options["completed_topic"], order["order_id"], compact(value)))

    def on_OrderCancelled(self, key, event):
        order = self.order(key, event)
        if order["status"] == "cancelled":
            raise Skip
        order = self.open_order(key, event)
        for where in [w for w in self.rows["order_lines"] if w[0] == order["order_id"]]:
            del self.rows["order_lines"][where]
        order["status"], order["total"] = "cancelled", Decimal(0)

    def on_tombstone(self, key, _):
        if key is None:
            raise Poison("*")
        self.rows["orders"].pop(key, None)
        for where in [w for w in self.rows["order_lines"] if w[0] == key]:
            del self.rows["order_lines"][where]


class Sessions(Projection):
    key = "session"
    tables = {
        "sessions": dict(session="text", views="int", first_at="time", last_at="time", ended_at="time"),
        "page_days": dict(page="text", day="day", views="int", slow_views="int", slowest_ms="int", first_view="time",
                          last_view="time"),
    }

    def session(self, key, event):
        name = fit_text(need(event, "session", "text"), 80)
        self.key_is(key, name)
        return self.rows["sessions"].setdefault(name, dict(session=name, views=0, first_at=None, last_at=None, ended_at=None))

    def on_PageViewed(self, key, event):
        at = need(event, "at", "time")
        milliseconds = need(event, "milliseconds", "int", 0)
        row = self.session(key, event)
        page = fit_text(need(event, "page", "text"), 200)
        if not 0 <= milliseconds <= 86_400_000:
            raise Poison("milliseconds is not within a day")
        row["views"] += 1
        row["first_at"] = at if row["first_at"] is None else min(at, row["first_at"])
        row["last_at"] = at if row["last_at"] is None else max(at, row["last_at"])
        day = at // 86_400_000_000
        total = self.rows["page_days"].setdefault((page, day), dict(page=page, day=day, views=0, slow_views=0, slowest_ms=0,
                                                                    first_view=at, last_view=at))
        total["views"] += 1
        total["slow_views"] += milliseconds >= 1000 * int(self.options.get("slow", "1s")[:-1])
        total["slowest_ms"] = max(total["slowest_ms"], milliseconds)
        total["first_view"] = min(total["first_view"], at)
        total["last_view"] = max(total["last_view"], at)

    def on_SessionEnded(self, key, event):
        at = need(event, "at", "time")
        self.session(key, event)["ended_at"] = at


class Null(Projection):
    key = None
    tables = {}

    def fold(self, kind, key, event):
        pass


def sort_key(where):
    parts = where if isinstance(where, tuple) else (where,)
    return [p.encode() if isinstance(p, str) else p for p in parts]


def expect(plugin, options):
    projection = {"bank": Bank, "orders": Orders, "sessions": Sessions, "null": Null}[plugin](options)
    skipped, poison = 0, []
    for offset, text in enumerate((GOLDEN / f"{plugin}.jsonl").read_text().splitlines()):
        line = json.loads(text, parse_int=Number, parse_float=Number)
        if "$value" in line:
            key, event, partition = line.get("$key"), line["$value"], line.get("$partition", 0)
        else:
            key, event, partition = line.get(projection.key), line, 0
        kind = event["type"] if event is not None else None
        try:
            projection.fold(kind, key, event)
        except Skip:
            skipped += 1
        except Poison as reason:
            poison.append(f'poison topic=test partition={partition} offset={offset} type={kind or "$tombstone"} reason="{reason}"')
    out = []
    for name, rows in projection.rows.items():
        columns = projection.tables[name]
        out += [f"== {name}", "\t".join(columns)]
        out += ["\t".join(show(rows[k][c], columns[c]) for c in columns) for k in sorted(rows, key=sort_key)]
    if projection.outbox:
        out += ["== outbox", "topic\tkey\tvalue"] + ["\t".join(show(part, "text") for part in sent) for sent in projection.outbox]
    return "\n".join(out + [f"skipped {skipped}"] + poison) + "\n"


if __name__ == "__main__":
    for case in (GOLDEN / "cases").read_text().splitlines():
        if case and not case.startswith("#"):
            name, plugin, *options = case.split()
            (GOLDEN / f"{name}.expected").write_text(expect(plugin, dict(o.split("=", 1) for o in options)))
