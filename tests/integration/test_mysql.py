"""What is MySQL's and MariaDB's own, on both."""
import subprocess

import pytest

import oracle
from servers import eventually
from worker import readside

pytestmark = pytest.mark.parametrize("store", ["mariadb", "mysql"], indirect=True)


def test_a_read_only_server_is_waited_for(scene, store):
    """A switch-over: the old primary refuses even COMMIT."""
    made = scene(store)
    records = list(oracle.random_events(2000, 50))
    bank = oracle.Bank(records)
    made.produce(records)
    worker = made.worker()
    made.reaches_end()
    store.server.administer("SET GLOBAL read_only = ON")
    try:
        more = list(oracle.random_events(500, 50, seed=2))
        made.produce(more)
        eventually(lambda: worker.lines("the read store does not take the work now.*read-only"), 30)
    finally:
        store.server.administer("SET GLOBAL read_only = OFF")
    made.agrees(bank.feed(more))
    assert worker.is_running()


def test_the_certificate_is_verified(scene, store, tmp_path):
    made = scene(store)
    uri, stranger = store.config()["uri"], tmp_path / "stranger.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stranger", "-days", "2", "-keyout",
                    tmp_path / "key.pem", "-out", stranger], check=True, capture_output=True)
    records = list(oracle.random_events(100, 10))
    made.produce(records)
    refused = readside("check", made.config("w0", store={"uri": f"{uri}?ssl-ca={stranger}"}))
    assert refused.returncode == 78 and "certificate" in refused.stdout.lower() + refused.stderr.lower(), refused
    made.worker("w1", store={"uri": f"{uri}?tls=verified&ssl-ca={store.server.ca}"})
    made.agrees(oracle.Bank(records))
