"""What is taken for private, and what is not."""

from __future__ import annotations

import pytest

from gapo_lab.data.mining.privacy import MASK, Detector

SECRETS = {
    "AWS Access Key": "AKIA" + "QYLPMN5HFIQR7XYA",
    "GitHub Token": "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx",
    "Private Key": "-----BEGIN RSA PRIVATE" + " KEY-----",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "Slack Token": "xoxb-34532454" + "-e039d02840a0b9379c",
    "Stripe Access Key": "sk_live_" + "ReTllpYQYfIZu2Jnf2lAPFjD",
    "Basic Auth Credentials": "https://me:hunter22" + "@host.com/x",
    "SoftLayer Credentials": 'softlayer_password = "' + "d3c4b5a697" * 6 + 'abcd"',
    "Secret Keyword": 'api_key = "' + 'AIza5yAx2WZYe0My0i"',
    "e-mail address": "Jane.Doe@" + "corp.co.uk",
}


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("form", ["{}", "before\n{}\nafter", "x = 1; # {}", "\t{} "])
def test_found_wherever_it_stands(kind, form):
    found = Detector().find(form.format(SECRETS[kind]))
    assert kind in found.values(), found


@pytest.mark.parametrize(
    "text",
    [
        "git@host.com:owner/name",
        "mail to someone@example.com",
        "return this@Outer.value",
        "@app.route('/x')",
        "password = getpass()",
        'password = "password"',
        'password = "${PASSWORD1}"',
        "sha = 0123456789abcdef0123456789abcdef",
        "user@localhost",
        "1+me@users.noreply.github.com",
        "a @ b.c",
        "noreply@corp.com",
    ],
)
def test_not_private(text):
    assert Detector().find(text) == {}


def test_the_same_findings_whatever_was_seen_before():
    text = "\n".join(["one", *SECRETS.values(), "two"])
    once = Detector().find(text)
    used = Detector()
    for line in reversed(text.split("\n")):
        used.find(line)
    assert used.find(text) == used.find(text) == once
    assert len(once) >= len(SECRETS)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("gapo_lab.data.mining.privacy._MEMORY", 10)
    detector = Detector()
    for number in range(50):
        detector.find(f"line {number}\n{SECRETS['GitHub Token']}")
        assert len(detector._seen) <= 10
    assert detector.find(f"x\n{SECRETS['GitHub Token']}")


def test_mask():
    detector = Detector()
    text = f"a {SECRETS['GitHub Token']} b {SECRETS['e-mail address']}"
    assert detector.mask(text, detector.find(text)) == f"a {MASK} b {MASK}"
