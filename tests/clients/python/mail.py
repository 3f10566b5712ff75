"""Receives a one-time link with aiosmtpd, an independent mail server, and opens it."""

import email
import email.policy
import os
import re
import subprocess
import urllib.request

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

port = int(os.environ["MAIL_PORT"])
received = []


class Inbox:
    async def handle_DATA(self, server, session, envelope):
        received.append(envelope)
        return "250 accepted"


def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me@example.com", b"p:@ss")
    return AuthResult(success=known, handled=False)


def invite(login, password, *options):
    settings = {"MEMGATE_SMTP_URL": f"smtp://me%40example.com:{password}@127.0.0.1:{port}", "MEMGATE_SMTP_FROM": "memgate <memory@example.com>"}
    command = [os.environ["MEMGATE"], "user", "invite", login, *options]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)


# The name of the host matters: without it aiosmtpd may look for one that is not there.
server = Controller(Inbox(), hostname="127.0.0.1", port=port, authenticator=authenticate, auth_required=True, auth_require_tls=False)
server.start()
try:
    sent = invite("marta@example.com", "p%3A%40ss", "--language", "fr")
    assert sent.returncode == 0 and "sent to marta@example.com" in sent.stdout, sent
    refused = invite("anna@example.com", "wrong")
    assert refused.returncode == 1 and "Authentication" in refused.stderr, refused
finally:
    server.stop()

[envelope] = received
assert (envelope.mail_from, envelope.rcpt_tos) == ("memory@example.com", ["marta@example.com"]), envelope
message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
assert not message.defects, message.defects
assert message["Subject"] == "Choisissez un mot de passe pour votre compte memgate", message["Subject"]
assert message["From"].addresses[0].display_name == "memgate" and message["Date"].datetime and message["Message-ID"]
[link] = re.findall(r"^http://\S+", message.get_content(), re.MULTILINE)
page = urllib.request.urlopen(link, timeout=30).read().decode()
assert "marta@example.com" in page, page
