"""sluice check: everything that is wrong, at once, by file, line and key."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from doubles.arc_verifiers import pem
from house.documents import ROOT

from relay.records import tenants
from relay.records.store import Store

LEAST = '[node]\nname = "mx1.relay.example"\nstate = "state"\n'
PLAIN = LEAST + "[smtp]\nrequire_tls = false\n"
TESTPATTERNS_NOTE = "note: no [engines.*] table: testpatterns alone runs"
TENANTS_NOTE = "note: no tenants are stored, all mail is put off (451): see `sluice tenant add`"


@pytest.fixture
def checked(sluice, tmp_path):
    """Check a text: the status and the lines, without the file's name."""

    def checked(text, *tenant_files):
        file = tmp_path / "sluice.toml"
        file.write_text(text)
        ran = sluice("check", "--config", file, *tenant_files)
        assert ran.err == ""
        return ran.status, [line.removeprefix(f"{file}:") for line in ran.out.splitlines()]

    return checked


def test_a_right_file_has_notes_only(checked, tmp_path):
    assert checked(PLAIN) == (0, [TESTPATTERNS_NOTE, TENANTS_NOTE, "no mistakes"])
    assert not (tmp_path / "state").exists()


def test_a_configured_engine_needs_no_note(checked):
    assert checked(f"{PLAIN}[engines.testpatterns]\n") == (0, [TENANTS_NOTE, "no mistakes"])


def test_the_panels_own_verdict_lends_no_engine_its_name(checked):
    status, lines = checked(f'{PLAIN}[engines.structure]\nengine = "testpatterns"\n')
    told = "is the panel's own verdict on the structure of mail: give the table another name"
    assert (status, lines[0]) == (1, f"6: engines.structure: {told}")


def test_all_mistakes_of_all_files_at_once(checked, tmp_path):
    tenant_file = tmp_path / "tenants.toml"
    tenant_file.write_text('[[tenant]]\nname = "acme"\nloop_values = ["hunter2"]\n[[tenant.domain]]\nname = "a b"\n')
    status, lines = checked(
        '[node]\nname = "-"\nstate = "state"\n'
        "[smtp]\n"
        'certificate = "none.crt"\n'
        'private_key = "none.key"\n'
        "[delivery]\n"
        'certificate = "none.crt"\n'
        "[judging]\n"
        "deadline = 480\n"
        "[engines.rspmad]\n"
        "[engines.testpatterns]\n"
        "colour = 1\n"
        "[lgo]\n",
        tenant_file,
    )
    assert status == 1
    assert lines[:8] == [
        "2: node.name: must match pattern '^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$'",
        f"5: smtp.certificate: {tmp_path}/none.crt cannot be read: No such file or directory",
        f"6: smtp.private_key: {tmp_path}/none.key cannot be read: No such file or directory",
        "8: delivery.certificate: is given without private_key",
        "10: judging.deadline: must be shorter than smtp.reply_timeout",
        "11: engines.rspmad: unknown engine; did you mean 'rspamd'?",
        lines[6],
        "14: lgo: unknown key; did you mean log?",
    ]
    assert lines[6].startswith("13: engines.testpatterns.colour: unknown key")
    assert lines[8].startswith(f"{tenant_file}:3: tenant[0].loop_values[0]: must have 8 to 200 characters")
    assert any(line.startswith(f"{tenant_file}:4: tenant[0].domain[0].next_hop: is required") for line in lines)
    assert any(line.startswith(f"{tenant_file}:5: tenant[0].domain[0].name: ") for line in lines)
    assert lines[-1] == f"{len(lines) - 1} mistakes"
    assert "hunter2" not in "".join(lines)


def test_tls_without_a_certificate_is_a_mistake(checked):
    status, lines = checked(LEAST)
    assert (status, lines[0]) == (1, "1: smtp.require_tls: is true, and there is no certificate")


@pytest.mark.parametrize(
    ("days", "status", "told"),
    [(90, 0, None), (3, 0, "expires on "), (-1, 1, "5: smtp.certificate: expired on ")],
)
def test_certificates_end(checked, certificate, days, status, told):
    file, key = certificate(days)
    result, lines = checked(f'{LEAST}[smtp]\ncertificate = "{file}"\nprivate_key = "{key}"\n')
    assert result == status
    assert [told in line for line in lines if "expire" in line] == ([True] if told else [])


def test_a_certificate_and_another_key(checked, certificate):
    file, _ = certificate(90)
    _, other = certificate(90, "other")
    status, lines = checked(f'{LEAST}[smtp]\ncertificate = "{file}"\nprivate_key = "{other}"\n')
    assert status == 1
    assert lines[0].startswith("5: smtp.certificate: ")


def test_no_certificate_in_the_file(checked, tmp_path):
    (tmp_path / "empty").write_text("")
    status, lines = checked(f'{LEAST}[smtp]\ncertificate = "empty"\nprivate_key = "empty"\n')
    assert status == 1
    assert lines[0].startswith("5: smtp.certificate: ")


@pytest.mark.parametrize("key", ["certificate", "private_key"])
def test_half_a_pair(checked, key, tmp_path):
    (tmp_path / "half").write_text("")
    other = {"certificate": "private_key", "private_key": "certificate"}[key]
    status, lines = checked(f'{PLAIN}{key} = "half"\n')
    assert (status, lines[0]) == (1, f"6: smtp.{key}: is given without {other}")


def test_names_of_clients_need_tls(checked):
    status, lines = checked(f'{PLAIN}client_certificate_names = ["x.example"]\nclient_certificate_roots = "none"\n')
    assert status == 1
    assert lines[0] == "6: smtp.client_certificate_names: need TLS, and there is no certificate"
    assert lines[1].startswith("7: smtp.client_certificate_roots: ")


ARC = '[arc]\ndomain = "sealer.example"\nselector = "2026"\nprivate_key = "arc.key"\n'


def test_the_key_for_sealing(checked, tmp_path):
    assert (
        checked(PLAIN + ARC)[1][0]
        == f"9: arc.private_key: {tmp_path}/arc.key cannot be read: No such file or directory"
    )
    file = tmp_path / "arc.key"
    for key, told in (
        (b"hunter2", f"{file} is no private key in PEM without a password"),
        (pem(ec.generate_private_key(ec.SECP256R1())), f"{file} must be an RSA key of 2048 to 4096 bits"),
        (pem(rsa.generate_private_key(65537, 1024)), f"{file} must be an RSA key of 2048 to 4096 bits"),
    ):
        file.write_bytes(key)
        assert checked(PLAIN + ARC)[1][0] == f"9: arc.private_key: {told}"
    file.write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    assert checked(PLAIN + ARC)[0] == 0


def test_shadows_keep_nobody_longer_than_a_reply_may_take(checked):
    status, lines = checked(f"{PLAIN}reply_timeout = 22.0\n[judging]\nshadow_grace = 2.0\n")
    assert (status, lines[0]) == (1, "8: judging.shadow_grace: with deadline must be shorter than smtp.reply_timeout")
    assert checked(f"{PLAIN}reply_timeout = 22.1\n[judging]\nshadow_grace = 2.0\n")[0] == 0


def test_nobody_admitted_is_worth_a_note(checked):
    _, lines = checked(f"{PLAIN}[admission]\nmicrosoft = false\n")
    assert "note: [admission] admits nobody: microsoft is false and networks is empty" in lines


def test_state_that_is_a_file(checked, tmp_path):
    (tmp_path / "state").write_text("")
    status, lines = checked(PLAIN)
    assert (status, lines[0]) == (1, f"3: node.state: {tmp_path}/state is no folder")


def test_state_that_cannot_be_written(checked, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    status, lines = checked(PLAIN)
    assert (status, lines[0]) == (1, f"3: node.state: {tmp_path} is not writable")


def stored(tmp_path, documents):
    (tmp_path / "state").mkdir()
    store = Store(f"sqlite:///{tmp_path}/state/sluice.db")
    store.migrate()
    tenants.replace(store, documents)
    store.close()


def test_stored_tenants_are_checked(checked, tmp_path):
    stored(tmp_path, [{"name": "acme", "loop_value": ["hunter2hunter2"], "domian": []}])
    status, lines = checked(PLAIN)
    assert status == 1
    assert lines[:3] == [
        "(stored tenants): tenant[0].loop_values: is required",
        "(stored tenants): tenant[0].loop_value: unknown key; did you mean loop_values?",
        "(stored tenants): tenant[0].domian: unknown key; did you mean domain?",
    ]
    assert "hunter2" not in "".join(lines)


def test_a_database_without_tenants(checked, tmp_path):
    stored(tmp_path, [])
    assert TENANTS_NOTE in checked(PLAIN)[1]


def test_a_database_that_is_none(checked, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/sluice.db").write_text("this is no database" * 100)
    status, lines = checked(PLAIN)
    assert status == 1
    assert "records.url: the tenants cannot be read: " in lines[0]


def test_a_database_url_without_sense_shows_no_password(checked):
    status, lines = checked(f'{PLAIN}[records]\nurl = "nonsense://user:hunter2@127.0.0.1/x"\n')
    assert status == 1
    assert lines[0].startswith("7: records.url: the tenants cannot be read: ")
    assert "hunter2" not in "".join(lines)


@pytest.mark.parametrize("words", [["check"], ["chekc"], ["check", "--colour"], ["scans", "list", "--limit", "0"]])
def test_called_wrongly(sluice, words):
    ran = sluice(*words)
    assert (ran.status, ran.out) == (2, "")
    assert "Usage: sluice" in ran.err


def test_a_file_that_is_not_there(sluice, tmp_path):
    ran = sluice("check", "--config", tmp_path / "none.toml")
    assert ran.status == 1
    assert ran.out.splitlines() == [f"{tmp_path}/none.toml: cannot be read: No such file or directory", "1 mistake"]


def test_the_configuration_may_stand_in_the_environment(sluice, config, monkeypatch):
    monkeypatch.setenv("SLUICE_CONFIG", str(config))
    assert sluice("check").status == 0


def test_a_tenant_of_an_environment_that_is_not_there_is_a_mistake(checked, tmp_path):
    stored(tmp_path, [{"name": "acme", "loop_values": ["hunter2hunter2"], "environment": "mars"}])
    status, lines = checked(PLAIN)
    assert status == 1
    assert "(stored tenants): acme: no such environment: 'mars'; there are: none" in lines


def test_an_old_loop_value_stays_no_longer_than_records_tell_of_it(checked):
    status, lines = checked(PLAIN + "[onboarding]\nold_value_days = 31\n")
    assert status == 1
    assert "onboarding.old_value_days: must not be longer than records.keep_days" in lines[0]


def test_the_example_of_environments_is_right(checked):
    assert checked(PLAIN + (ROOT / "config/environments-example.toml").read_text())[0] == 0
    status, lines = checked(PLAIN + '[environments.eu]\nsmart_hosts = "x"\negress = ["::1"]\n')
    assert status == 1
    assert [line.partition(": ")[2] for line in lines[:4]] == [
        "environments.eu.smart_host: is required",
        "environments.eu.validation_address: is required",
        "environments.eu.smart_hosts: unknown key; did you mean smart_host?",
        "environments.eu.egress[0]: must be an IPv4 address, for example 192.0.2.1",
    ]


def test_notices_are_looked_at_with_their_files(checked, tmp_path):
    (tmp_path / "secret").write_text("too short")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "loop.txt").write_text("Subject: $tenant\n\n$loop_value\n")
    table = (
        '[notices]\nserver = "a b"\nwebhook = "https://a.example/"\nsecret = "secret"\ntemplates = "texts"\n'
        "[engines.testpatterns]\n"
    )
    status, lines = checked(PLAIN + table)
    assert status == 1
    assert [line.partition(": ")[2].partition(":")[0] for line in lines[:3]] == [
        "notices.server",
        "notices.secret",
        "notices.templates",
    ]
    assert lines[1].endswith("secret has less than 16 characters")
    assert "loop.txt: knows no $loop_value" in lines[2]
    (tmp_path / "secret").write_text("sixteen letters.")
    right = '[notices]\nsender = "Sluice <a@b.example>"\nwebhook = "https://a.example/"\nsecret = "secret"\n'
    assert checked(f"{PLAIN}{right}[engines.testpatterns]\n")[0] == 0


@pytest.mark.parametrize(
    "sender",
    ["x", "A <a@b>, c@d.example", "a@b.example\\r\\nX: y", "=?utf-8?q?=0D=0AX:?= <a@b.example>", "ü@b.example"],
)
def test_a_sender_is_one_address(checked, sender):
    status, lines = checked(f'{PLAIN}[notices]\nsender = "{sender}"\n')
    assert status == 1
    assert "notices.sender: must be an address, or a name and an address" in lines[0]
