"""Signs in as a rider and as staff, by the same calls that a phone and a desk make."""

import itertools
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request

import schemathesis

URL = os.environ["CHAUTARI_URL"] + "/api/v1/"
LOCK = threading.Lock()
ADDRESSES = itertools.count(1)
# A token is tried again after this long, in case an operation ended its session.
TRUSTED_S = 2.0
# These end the session or the account of whoever calls them: they get somebody who does nothing else.
LAST_DEEDS = {("POST", "/api/v1/auth/logout"), ("DELETE", "/api/v1/auth/account"), ("POST", "/api/v1/admin/logout")}


def address():
    """Where the next request comes from: a telephone that has just joined, so that no limit of one address is met."""
    number = next(ADDRESSES)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@schemathesis.hook
def before_call(context, case, kwargs):
    case.headers = case.headers or {}
    case.headers["X-Forwarded-For"] = address()


def call(method, path, body=None, token=None):
    request = urllib.request.Request(URL + path, method=method)
    request.add_header("x-forwarded-for", address())
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", "Bearer " + token)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"null")


class Rider:
    """Nepali numbers, one after the other: what spoils one rider leaves the next."""

    number = 9_801_000_000

    @classmethod
    def sign_in(cls):
        cls.number += 1
        phone = f"+977{cls.number}"
        call("POST", "auth/otp/request", {"identifier": phone})
        code = cls.code_for(phone)
        return call("POST", "auth/otp/verify", {"identifier": phone, "otp": code})["access_token"]

    @staticmethod
    def code_for(phone):
        for _ in range(50):
            with open(os.environ["CHAUTARI_LOG"], encoding="utf-8", errors="replace") as log:
                lines = [line for line in log if phone in line and "a text for the console" in line]
            if lines:
                return re.search(r"\b(\d{6})\b", json.loads(lines[-1])["fields"]["text"])[1]
            time.sleep(0.1)
        raise RuntimeError(f"no code for {phone} in the log")

    proof = "auth/me"


class Staff:
    """The super_admin whom the demonstration makes; the banner says who."""

    @staticmethod
    def sign_in():
        with open(os.environ["CHAUTARI_BANNER"], encoding="utf-8") as banner:
            email, password = re.search(r"/console\s+(\S+@\S+)\s+(\S+)", banner.read()).groups()
        return call("POST", "admin/login", {"email": email, "password": password})["token"]

    proof = "admin/incidents"


class Kept:
    """One session, renewed when it has ended."""

    def __init__(self, who, trusted_s=TRUSTED_S):
        self.who, self.trusted_s, self.token, self.trusted_until = who, trusted_s, None, 0.0

    def get(self):
        if self.token and time.monotonic() < self.trusted_until:
            return self.token
        try:
            call("GET", self.who.proof, token=self.token)
        except urllib.error.HTTPError as refused:
            if refused.code not in (401, 403):
                raise
            self.token = self.who.sign_in()
        self.trusted_until = time.monotonic() + self.trusted_s
        return self.token


RIDER, STAFF = Kept(Rider), Kept(Staff)
LEAVING_RIDER, LEAVING_STAFF = Kept(Rider, trusted_s=0.0), Kept(Staff, trusted_s=0.0)


@schemathesis.auth(refresh_interval=None)
class Bearer:
    def get(self, case, context):
        security = case.operation.definition.raw.get("security") or []
        schemes = {name for requirement in security for name in requirement}
        is_last = (case.method.upper(), case.operation.full_path) in LAST_DEEDS
        staff, rider = (LEAVING_STAFF, LEAVING_RIDER) if is_last else (STAFF, RIDER)
        kept = staff if "staff" in schemes else rider if "rider" in schemes else None
        if kept is None:
            return None
        with LOCK:
            return kept.get()

    def set(self, case, token, context):
        if token:
            case.headers = case.headers or {}
            case.headers["Authorization"] = "Bearer " + token
