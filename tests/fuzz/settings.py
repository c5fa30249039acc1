r"""The fuzzed settings: an environment and the files that it names; what a worker stands on out. No claims here.

Parts of a case: the environment, as `name=value` joined by \x1e (without WORKER_), and the files, as `name=content`
joined by \x1f. A value `@name` is the path of that file, `@@missing` of none, `@@folder` of a folder, `@@endless` of
one without an end. `deep=` anywhere asks for what is dear to build, too (a file of certificates is OpenSSL's to read,
so not an endless one).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Final

from db_client.database import engine
from handlers.domain.errors import InvalidValueError
from handlers.gateway.authorizenet.settings import AuthorizeNetSettings
from tests.contract.gateway_fixtures import FixedLease
from tests.fuzz import markers
from tests.fuzz.cases import Bounds, Case, Seen, insist
from worker import wiring
from worker.config import Settings, SettingsError, read_settings
from worker.telemetry import Metrics

_KEYS: Final = "k1:" + "a" * 43 + "="
_GOOD: Final[Mapping[str, str]] = {
    "journal_url": f"postgresql://worker:{markers.PASSWORD}@127.0.0.1:5432/journal",
    "journal_keys": _KEYS,
    "invoice_key": markers.CAVV,
    "db_service_token": markers.BEARER,
    "gateway_login": "login",
    "gateway_transaction_key_file": "@key",
    "kafka_config_file": "@kafka",
}
_FILES: Final = {
    "key": markers.TRANSACTION_KEY + "\n",
    "kafka": f"# ours\nsecurity.protocol = SASL_SSL\nsasl.password={markers.PASSWORD}\n",
    "accounts": f"USD {markers.LOGIN}:{markers.TRANSACTION_KEY}\nJPY other:key",
}
_SECRET: Final = frozenset(
    "journal_url journal_keys invoice_key db_service_token gateway_transaction_key gateway_accounts"
    " schema_registry_password".split()
)
_VALUES: Final = (
    "", " ", "0", "-1", "1", "5", "60", "1e3", "1e400", "nan", "inf", "-inf", "0x10", "1_000", "\u0661\u0662", "true",
    "None", "[]", "{}", '["USD"]', "USD", "usd", "USD,JPY", ",,,", "EUR;USD", "5,15,45", "5,nan", "5,inf", "1,-1",
    "http://", "https://[", "https://h:99999", "https://h:port/", "http://user:{0}@h/", "ftp://h", "//h", "https://\u2603",
    "postgresql://u:{0}@h:port/x", "postgresql://u:{0}@[::1/x", "mysql://u:{0}@h/x", "postgresql+asyncpg://u:{0}@h/x",
    "16:00 America", "16:00 A/B", "16:00 ../../etc", "16:00 UTC", "24:00 UTC", "00:00 " + "a" * 300, "none",
    "@key", "@kafka", "@accounts", "@absent", "@@missing", "@@folder", "@@endless", "k:AAAA", "k:" + "A" * 10_000,
    "USD {1}:{0}", "USD a:b\nUSD c:d", "{0}", "{0}\n{1}", "x" * 300, "y" * 100_000, "\udcff\udcfe", "a\nb", "\x7f",
    "production", "sandbox", "consumer", "shadow", "off", "strict", "/", ".", "../..", "~", "https://api.authorize.net/",
)  # fmt: skip
_CONTENTS: Final = (
    b"",
    b"\n",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbfkey=value",
    b"=",
    b"a=b=c",
    b"\x00",
    b"x" * 200_000,
)


class SettingsFiles:
    """What the environment and its files come to."""

    name = "settings"
    bounds = Bounds(memory_fixed=600_000, memory_each=16, steps_fixed=4_000, steps_each=1)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._endless = "/dev/zero" if Path("/dev/zero").exists() else str(self._folder / "missing")
        self._names = tuple(Settings.model_fields)
        self._written: dict[str, bytes] = {}

    def seeds(self) -> list[Case]:
        """Good settings, and the same with each setting given as a file or not at all."""
        cases = [_case(_GOOD, _FILES), _case({}, {}), _case({**_GOOD, "deep": ""}, _FILES)]
        return cases + [
            _case({k: v for k, v in _GOOD.items() if k != name}, _FILES) for name in _GOOD
        ]

    def wild(self, rng: Random) -> Case:
        """Good settings with some of them wrong."""
        given, files = dict(_GOOD), {name: text.encode() for name, text in _FILES.items()}
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            marks = rng.sample(markers.SECRETS + markers.SPELLED, 2)
            given[rng.choice(self._names)] = (
                rng.choice(_VALUES).replace("{0}", marks[0]).replace("{1}", marks[1])
            )
        if not rng.randrange(4):
            files[rng.choice(list(files))] = rng.choice(_CONTENTS)
        if not rng.randrange(60):
            given["deep"] = ""
        return _case(given, files)

    def run(self, case: Case) -> Seen:
        """Read them and build what can be built of them; a wrong one is named."""
        given = dict(_pairs(case[0], b"\x1e"))
        for name, content in _pairs(case[1], b"\x1f"):
            if name in _FILES and self._written.get(name) != content:
                (self._folder / name).write_bytes(content)
                self._written[name] = content
        before = dict(os.environb)
        try:
            self._set(given)
            settings = read_settings()
            _build(settings, deep="deep" in given and self._endless not in repr(settings))
        except SettingsError as error:
            names = sorted({line.partition(":")[0] for line in str(error).splitlines()})
            insist(
                all(name.startswith("WORKER_") for name in names), "each line names its variable"
            )
            return Seen("SettingsError", str(names), str(error))
        except InvalidValueError as error:
            return Seen("InvalidValueError", f"{error.field} {error.rule}"[:80], str(error))
        finally:
            _restore(before)
        marked = {
            name for name, value in given.items() if markers.leaks(value.decode("utf-8", "replace"))
        }
        return Seen("settings", "settings", repr(settings) if marked <= _SECRET else "")

    def _set(self, given: Mapping[str, bytes]) -> None:
        for name in self._names:
            os.environb.pop(f"WORKER_{name.upper()}".encode(), None)
        for name, raw in given.items():
            value = raw.replace(b"\x00", b"")  # no process can be given one
            if value.startswith(b"@"):
                value = self._path(value[1:].decode("utf-8", "replace")).encode()
            if name in self._names:
                os.environb[f"WORKER_{name.upper()}".encode()] = value

    def _path(self, name: str) -> str:
        if name == "@endless":
            return self._endless
        return str(
            self._folder
            if name == "@folder"
            else self._folder / (name if name in _FILES else "missing")
        )


def _build(settings: Settings, *, deep: bool) -> None:
    settings.kafka_properties()
    wiring.insist_usable(settings)
    wiring.consumer_properties(settings)
    wiring.installation_fingerprint(settings)
    insist(all(wait < float("inf") for wait in settings.ask_schedule_s), "every wait ends")
    insist(settings.absence_after_s < float("inf"), "absence is proven at some time")
    insist(settings.lease_s > settings.gateway_deadline_s, "the lease outlives a call")
    AuthorizeNetSettings(endpoint=settings.gateway_url, accounts=wiring.accounts(settings))
    engine(settings.journal_url.get_secret_value(), role="fuzz").dispose()
    if deep:
        wiring.gateway(settings, lease=FixedLease(), metrics=Metrics())
        wiring.records(settings)
        found = wiring.registry(settings)
        if found is not None:
            found.close()


def _case(given: Mapping[str, str], files: Mapping[str, str | bytes]) -> Case:
    environment = b"\x1e".join(
        name.encode() + b"=" + value.encode("utf-8", "surrogateescape")
        for name, value in given.items()
    )
    contents = (
        name.encode() + b"=" + (text if isinstance(text, bytes) else text.encode())
        for name, text in files.items()
    )
    return environment, b"\x1f".join(contents)


def _pairs(block: bytes, separator: bytes) -> Iterator[tuple[str, bytes]]:
    for entry in block.split(separator):
        name, _, value = entry.partition(b"=")
        yield name.decode("ascii", "replace"), value


def _restore(before: Mapping[bytes, bytes]) -> None:
    for name in os.environb.keys() - before.keys():
        del os.environb[name]
    for name, value in before.items():
        if os.environb.get(name) != value:
            os.environb[name] = value
