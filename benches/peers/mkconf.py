#!/usr/bin/env python3
"""Turns a job of the side-by-side benchmark into our config: mkconf.py JOB.json > config.yaml

A job is JSON: proto, host, port, tls, cafile, accounts [{user, password}], dest, state, rules [{folder, header, contains}].
"""
import json
import sys

job = json.load(open(sys.argv[1]))
kind = "pop3" if job["proto"].startswith("pop3") else "imap"
quote = json.dumps  # JSON strings are YAML strings
out = ["maildir: " + quote(job["dest"]), "state: " + quote(job["state"]), "accounts:"]
several = len(job["accounts"]) > 1
for i, account in enumerate(job["accounts"]):
    server = {"host": job["host"], "port": job["port"], "tls": "implicit" if job["tls"] else "none"}
    if job["tls"]:
        server["ca_file"] = job["cafile"]
    else:
        # The server behind a delay is no loopback host.
        server["allow_plaintext"] = True
    out.append("  a%03d:" % i)
    out.append("    %s: %s" % (kind, quote(server)))
    out.append("    user: %s" % quote(account["user"]))
    out.append("    password: %s" % quote(account["password"]))
    out.append("    into: %s" % ("acct%03d" % i if several else "INBOX"))
if job["rules"]:
    out.append("rules:")
    for rule in job["rules"]:
        test = {"header": {rule["header"]: {"contains": rule["contains"]}}}
        out.append("  - {if: %s, do: [{fileinto: %s}]}" % (quote(test), quote(rule["folder"])))
print("\n".join(out))
