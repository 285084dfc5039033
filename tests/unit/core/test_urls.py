"""The one grammar of URLs and hosts, and the host list that is compared in it."""

import re

import pytest

from tieline.core.errors import DestinationNotAllowed
from tieline.core.urls import Origin, base_url, canonical_host, parse_base, written_host
from tieline.wire.guard import Guard


class TestBaseUrl:
    @pytest.mark.parametrize(
        ("url", "origin", "path"),
        [
            ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443), "/v1"),
            ("https://api.openai.com/v1/", Origin("https", "api.openai.com", 443), "/v1"),
            ("https://api.openai.com", Origin("https", "api.openai.com", 443), ""),
            ("http://api.example.com:8080/", Origin("http", "api.example.com", 8080), ""),
            ("HTTPS://API.Example.COM:443/A", Origin("https", "api.example.com", 443), "/A"),
            ("http://localhost:65535", Origin("http", "localhost", 65535), ""),
            ("http://203.0.113.7:1/x", Origin("http", "203.0.113.7", 1), "/x"),
            ("http://[2001:DB8::0001]:8443/x", Origin("http", "2001:db8::1", 8443), "/x"),
            ("https://[::1]/", Origin("https", "::1", 443), ""),
            ("https://bücher.example/ok", Origin("https", "xn--bcher-kva.example", 443), "/ok"),
            ("https://XN--BCHER-KVA.example", Origin("https", "xn--bcher-kva.example", 443), ""),
            ("https://straße.example", Origin("https", "xn--strae-oqa.example", 443), ""),
            ("http://my_service.inner-net:9000/a/b", Origin("http", "my_service.inner-net", 9000), "/a/b"),
            ("https://r3---sn-x.example", Origin("https", "r3---sn-x.example", 443), ""),
            ("https://1password.example/3/a", Origin("https", "1password.example", 443), "/3/a"),
            ("https://h/a%2Fb/~c/(d);e=1,2:@!$&'*+", Origin("https", "h", 443), "/a%2Fb/~c/(d);e=1,2:@!$&'*+"),
            ("https://h/.well-known/..a/a..", Origin("https", "h", 443), "/.well-known/..a/a.."),
        ],
    )
    def test_a_good_url_gives_its_origin_and_path(self, url: str, origin: Origin, path: str) -> None:
        """One reading, with the host in its one form and the path as written but for a slash at its end."""
        assert parse_base(url) == (origin, path)

    @pytest.mark.parametrize(
        "url",
        [
            # no absolute http URL
            "", "api.example.com", "//h/x", "/x", "ftp://h", "file:///etc/passwd", "https:/h", "https:h", "https:///h",
            "https://", "javascript:alert(1)", "httpss://h", "gopher://h", "ws://h", "https//h", ":https://h",
            # characters that parsers repair or read differently
            " https://h", "https://h ", "https://h/a b", "https://h/\t", "https://h\n", "https://h/\r\nX: y", "https://h\0",
            "https://h\x7f", "https://h\\@evil.example", "https:\\\\h", "https://h/a\\b", "https://h\u00a0", "https://h/é",
            "https://h/\u2028", "https://h/<x>", 'https://h/"', "https://h/`", "https://h/{x}", "https://h/|", "https://h/^",
            # user names, queries, fragments
            "https://user@h", "https://user:pass@h/", "https://@h", "https://h@", "https://a@b@h", "https://h#@evil.example",
            "https://h?x=1", "https://h/?", "https://h#", "https://h/#x", "https://h?@evil.example",
            # hosts
            "https://h.", "https://h../x", "https://.h", "https://a..b", "https://.", "https://-h", "https://h-",
            "https://a.-b.c", "https://*.example.com", "https://h%2eexample", "https://h%00", "https://%31.2.3.4",
            "https://a,b", "https://a;b", "https://a'b", "https://a!b", "https://a+b", "https://(h)",
            "https://" + "a" * 64,
            "https://" + "a." * 126 + "ab", "https://" + "ü" * 62, "https://" + ".".join(["bücher"] * 36),
            # international names that IDNA 2008 refuses, among them digits and dots in other clothes
            "https://１２７.0.0.1", "https://127。0。0。1", "https://①②⑦.0.0.1", "https://١.2.3.4", "https://ａpi.example",
            "https://api.ｅxample", "https://api．example", "https://Bücher.example", "https://☃.example",
            "https://a\u200db.example", "https://a\u00adb.example", "https://xn--", "https://xn--zzzz.example",
            "https://xn--a.example", "https://\u0301a.example", "https://ex\u202eample.example", "https://ℝ.example",
            # ports
            "https://h:", "https://h:0", "https://h:00", "https://h:65536", "https://h:99999", "https://h:080", "https://h:-1",
            "https://h:+80", "https://h:8 0", "https://h:80:80", "https://h:http", "https://h:８０", "https://h:1e3", "https://:80",
            "https://[::1]:", "https://[::1]:0", "https://[::1]:65536", "https://[::1]:x",
            # IPv6
            "https://::1", "https://[::1", "https://::1]", "https://[::1]x", "https://[::1]80", "https://x[::1]", "https://[[::1]]",
            "https://[]", "https://[127.0.0.1]", "https://[h]", "https://[fe80::1%eth0]", "https://[fe80::1%25eth0]",
            "https://[fe80::1%]", "https://[v1.x]", "https://[::1::2]", "https://[12345::]", "https://[1:2:3:4:5:6:7]",
            "https://[::1.2.3]", "https://[::01.2.3.4]", "https://[::256.1.1.1]", "https://[:]", "https://[::ffff:0x7f.1]",
            # paths
            "https://h/..", "https://h/../x", "https://h/a/..", "https://h/./a", "https://h/a/.", "https://h/%2e%2E/a",
            "https://h/.%2e", "https://h/%2E", "https://h//a", "https://h/a//b", "https://h/a//", "https://h/%00", "https://h/%0d%0a",
            "https://h/%1F", "https://h/%7f", "https://h/%5C", "https://h/%5c..%5c", "https://h/%", "https://h/%2", "https://h/%zz",
            "https://h/" + "a" * 9000,
        ],
    )  # fmt: skip
    def test_a_url_that_needs_repair_is_refused(self, url: str) -> None:
        """Whatever two parsers could read differently is refused, and never repeated in the error."""
        with pytest.raises(ValueError, match=r"^(a|an|the|this|no) .*[a-z0-9\]/\"]$") as caught:
            parse_base(url)
        assert "evil" not in str(caught.value)
        with pytest.raises(ValueError, match=re.escape(str(caught.value))):
            base_url(url)

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("https://h/a b", "no blanks, control characters or backslashes"),
            ("h/x", "write it like https://api.example.com/v1"),
            ("https://h?x=1", "no query"),
            ("https://user:pass@h", "no user name or password"),
            ("https://h.", "a dot at its end"),
            ("https://h:0", "ports go from 1 to 65535"),
            ("https://127.1", "no IPv4 address"),
            ("https://[fe80::1%25eth0]", "no IPv6 address"),
            ("https://☃.example", "international name"),
            ("https://a!b", "letters, digits and hyphens"),
            ("https://h/é", "percent-encoded"),
            ("https://h/a/../b", '"/../"'),
        ],
    )
    def test_a_refusal_says_what_is_wrong(self, url: str, reason: str) -> None:
        """In words that the author of the URL can act on."""
        with pytest.raises(ValueError, match=re.escape(reason)):
            parse_base(url)

    @pytest.mark.parametrize(
        "host",
        [
            "0x7f.1", "2130706433", "127.1", "0177.0.0.1", "0x7f000001", "017700000001", "127.0.1", "127.0.0.1.",
            "0x7f.0.0.1", "0X7F.0.0.1", "127.0.0.0x1", "127.0.0.01", "00.0.0.0", "0", "1", "1.2", "256.0.0.1",
            "1.2.3.4.5",
            "999.999.999.999", "127.0.0.0x", "0x", "a.0x7f", "example.1", "4294967296", "127.0.0.1e0.1",
            "169.254.43518",
            "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "2852039166", "1.1.1.1234",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("form", ["http://{}", "https://{}:8443/v1"])
    def test_an_odd_notation_of_an_ipv4_address_is_refused(self, host: str, form: str) -> None:
        """No name ends in a number, so nothing is left for inet_aton or a browser's rules to interpret."""
        with pytest.raises(ValueError, match="host"):
            parse_base(form.format(host))


class TestOrigin:
    @pytest.mark.parametrize(
        ("url", "authority"),
        [
            ("https://h", b"h"),
            ("https://h:443", b"h"),
            ("http://h:80", b"h"),
            ("https://h:80", b"h:80"),
            ("http://h:443", b"h:443"),
            ("http://[::1]:8080", b"[::1]:8080"),
            ("https://[2001:db8::1]", b"[2001:db8::1]"),
        ],
    )
    def test_the_host_field_has_the_port_only_where_it_is_another(self, url: str, authority: bytes) -> None:
        """RFC 9110, section 7.2, with brackets around IPv6."""
        assert parse_base(url)[0].authority == authority

    @pytest.mark.parametrize(
        ("host", "port"),
        [
            ("H", 80),
            ("h.", 80),
            ("[::1]", 80),
            ("0:0::1", 80),
            ("bücher", 80),
            ("h", 0),
            ("h", 65536),
            ("h", -1),
            ("", 80),
        ],
    )
    def test_an_origin_is_canonical_or_does_not_exist(self, host: str, port: int) -> None:
        """So two origins are equal exactly when they are the same place, and none escapes the parse."""
        with pytest.raises(ValueError, match=r"host|port|address"):
            Origin("http", host, port)

    @pytest.mark.parametrize("text", ["api.example.com", "203.0.113.7", "2001:db8::1", "xn--bcher-kva.example"])
    def test_a_canonical_host_stays_as_it_is(self, text: str) -> None:
        """The one form is a fixed point."""
        assert canonical_host(text) == text


class TestHosts:
    @pytest.mark.parametrize(
        ("text", "host"),
        [
            ("API.Example.com", "api.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
            ("203.0.113.7", "203.0.113.7"),
        ],
    )
    def test_a_host_is_brought_to_its_one_form(self, text: str, host: str) -> None:
        """What operators write is kept in the form that is compared, and passes the guard's comparison."""
        assert written_host(text) == host
        Guard().check_host(host.strip("[]"), [host])

    @pytest.mark.parametrize(
        "text",
        ["", "*", "*.x.y", "a.*", "https://h", "h:80", "h/", "h.", "::1", "127.1", "bücher." * 35 + "x",
         "xn--zzzz.example"],
    )  # fmt: skip
    def test_what_is_no_host_is_refused(self, text: str) -> None:
        """The same that no URL may have."""
        with pytest.raises(ValueError, match="host"):
            written_host(text)

    @pytest.mark.parametrize(
        ("host", "bound"),
        [
            ("api.example.com", []),
            ("evilexample.com", ["example.com"]),
            ("api.example.com.evil.example", ["api.example.com"]),
            ("api.example.com", ["example.com", "xapi.example.com", "api.example.co"]),
            ("api.example.com", ["*", "*.", "*.example.com", "*example.com", ".example.com", ""]),
            ("api.example.com", ["https://api.example.com", "api.example.com:443", "api.example.com/"]),
            ("127.0.0.1", ["*.0.0.1", "127.1"]),
            ("2001:db8::1", ["2001:db8::1", "[2001:db8::1"]),
        ],
    )
    def test_a_credential_goes_to_no_other_host(self, host: str, bound: list[str]) -> None:
        """Neither to neighbours by spelling, nor by an entry that is no host at all."""
        with pytest.raises(DestinationNotAllowed, match=f"not bound to the host {host}"):
            Guard().check_host(host, bound)
