"""URLs of object stores, and buckets of stores other than S3."""

import json
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from photoanimer_async import InvalidRequestError
from photoanimer_async.storage.object_store import Bucket, parse_object_url

from ..support.pages import page
from ..support.s3_server import BUCKET, S3Server


class TestUrl:
    def test_a_final_slash_is_removed(self) -> None:
        assert parse_object_url("s3://b/out/", "save_to") == "s3://b/out"
        assert parse_object_url("az://container", "save_to") == "az://container"

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "photos",
            "s3:photos",
            "s3:/photos/x",
            "s3://",
            "s3:///x",
            "ftp://photos/x",
            "https://photos.example/x",
            "s3://me:secret@photos/x",
            "s3://photos/x?key=secret",
            "s3://photos/x#secret",
            "s3://photos/\nx",
            "s3://[photos",
        ],
    )
    def test_any_other_url_is_refused(self, url: str) -> None:
        with pytest.raises(InvalidRequestError, match=r"s3://bucket/prefix, gs://") as caught:
            parse_object_url(url, "save_to")
        assert "secret" not in str(caught.value)


def test_without_obstore_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InvalidRequestError, match=r"photoanimer-async\[object-store\]"):
        Bucket("s3://photos", "host")


class TestSignedUrl:
    """URLs are signed without a request to the store."""

    async def test_google_cloud_storage(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        account = {
            "type": "service_account",
            "client_email": "me@example",
            "private_key": pem.decode(),
            "private_key_id": "1",
        }
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
        url = await Bucket("gs://photos/for-a-while", "host").signed_url("a.jpg", 60)
        assert url.startswith("https://storage.googleapis.com/photos/for-a-while/a.jpg?")
        assert parse_qs(urlsplit(url).query)["X-Goog-Expires"] == ["60"]

    async def test_azure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
        url = await Bucket("az://photos/for-a-while", "host").signed_url("a.jpg", 60)
        assert url.startswith("https://me.blob.core.windows.net/photos/for-a-while/a.jpg?")
        assert parse_qs(urlsplit(url).query)["sp"] == ["r"]


def test_a_store_accepts_the_lifecycle_rule_of_the_page(s3: S3Server) -> None:
    rules = json.loads(page("storage/README.md").block("json", containing="Rules").text)
    boto3.client("s3", endpoint_url=s3.origin).put_bucket_lifecycle_configuration(
        Bucket=BUCKET, LifecycleConfiguration=rules
    )
