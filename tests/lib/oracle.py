"""Bank events and, independently of Readside, what they add up to."""
import collections
import datetime
import decimal
import itertools
import random
import uuid

BASE = datetime.datetime(2026, 11, 23, 4, tzinfo=datetime.timezone.utc)
_counter = itertools.count()


def stamp(milliseconds):
    moment = BASE + datetime.timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def event(kind, account, **fields):
    """The record (key, value) of one event; `at` is later than that of all before."""
    value = {"type": kind, "version": 1, "id": str(uuid.uuid4()), "account": account, "at": stamp(next(_counter))}
    value.update(fields)
    return account, value


def opened(account, owner="Alice", **fields):
    return event("AccountOpened", account, owner=owner, **fields)


def deposited(account, amount, **fields):
    return event("Deposited", account, amount=amount, **fields)


def withdrawn(account, amount, **fields):
    return event("Withdrawn", account, amount=amount, **fields)


def random_events(n, accounts=100, seed=1):
    """n records over so many accounts; amounts as text, two places. The same for the same seed, but for ids and times."""
    rng = random.Random(seed)
    seen = set()
    for _ in range(n):
        account = f"acc-{rng.randrange(accounts)}"
        if account not in seen and rng.random() < 0.7:
            seen.add(account)
            yield opened(account, f"owner of {account}")
        else:
            make = deposited if rng.random() < 0.6 else withdrawn
            yield make(account, f"{rng.randrange(1, 100000) / 100:.2f}")


class Account:
    def __init__(self):
        self.owner = ""
        self.balance = decimal.Decimal("0.00")
        self.events = 0
        self.opened_at = None
        self.updated_at = None

    def row(self):
        return self.owner, self.balance, self.events, self.opened_at, self.updated_at


class Bank:
    """Feed it the committed records in the order they were produced, one by one."""

    def __init__(self, records=()):
        self.accounts = collections.defaultdict(Account)
        self.days = collections.defaultdict(lambda: [decimal.Decimal("0.00"), decimal.Decimal("0.00"), 0])
        self.events = 0
        self.feed(records)

    def feed(self, records):
        for _key, value, *_ in records:
            self.apply(value)
        return self

    def apply(self, value):
        kind = value["type"]
        if kind not in ("AccountOpened", "Deposited", "Withdrawn"):
            return
        at = datetime.datetime.fromisoformat(value["at"].replace("Z", "+00:00"))
        account = self.accounts[value["account"]]
        account.events += 1
        account.updated_at = at
        self.events += 1
        if kind == "AccountOpened":
            account.owner = value["owner"]
            account.opened_at = at
            return
        amount = decimal.Decimal(str(value["amount"]))
        day = self.days[at.date()]
        day[2] += 1
        if kind == "Deposited":
            account.balance += amount
            day[0] += amount
        else:
            account.balance -= amount
            day[1] += amount

    def rows(self):
        """What `SELECT account, owner, balance, events, opened_at, updated_at FROM accounts` must give, by account."""
        return {name: account.row() for name, account in sorted(self.accounts.items())}

    def difference(self, rows, limit=5):
        """"" if the rows (account, owner, balance, events, opened_at, updated_at) are right, else a text that shows what is not."""
        expected, actual = self.rows(), {name: tuple(rest) for name, *rest in rows}
        wrong = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
        shown = [f"{name}: expected {expected.get(name)}, found {actual.get(name)}" for name in wrong[:limit]]
        return f"{len(wrong)} of {len(expected)} accounts differ\n" + "\n".join(shown) if wrong else ""

    def daily_difference(self, rows):
        """The same for `SELECT day, deposited, withdrawn, events FROM daily_totals`."""
        actual = {day: list(rest) for day, *rest in rows}
        return "" if actual == dict(self.days) else f"expected {dict(self.days)}, found {actual}"
