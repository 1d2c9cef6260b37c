import pytest

from keras_wsseg.serving.origins import check_origins

FINE = ["*", "https://x.org", "http://localhost:8080", "http://127.0.0.1:3000", "http://[::1]:8000"]


def test_what_browsers_send_passes():
    check_origins([*FINE, "https://a-b.x_y.example", "moz-extension://0a1b", "https://xn--mnchen-3ya.de"])


@pytest.mark.parametrize(
    "origin",
    [
        *("example.org", "https://x.org/path", "https://x.org/", "foo bar", "", "**", "null", "https://"),
        *("https://*.x.org", "https://X.org", "https://münchen.de", "https://x.org:", "https://x.org:443"),
        *(
            "http://x.org:80",
            "https://a@x.org",
            "https://x.org?a",
            "https://x.org\n",
            "https://a.b,https://c.d",
        ),
    ],
)
def test_what_no_browser_sends_is_refused(origin):
    with pytest.raises(ValueError) as refused:
        check_origins(["https://x.org", origin])
    said = str(refused.value)
    assert said.startswith("`allow_origin` must be '*', or scheme://host or scheme://host:port")
    assert said.endswith(f"Received: allow_origin={origin!r}") and "\n" not in said
