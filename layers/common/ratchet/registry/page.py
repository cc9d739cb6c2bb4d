"""The page behind a signed link: what is to be decided, and a form. Looking at it decides nothing. No script."""

from html import escape

from ratchet.registry.package import Package, Registration

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem;color:#1b1f24}"
    "h1{font-size:1.4rem}dt{color:#57606a}dd{margin:0 0 .6rem}textarea{width:100%;font:inherit}"
    "button{font:inherit;padding:.5rem 1.2rem;margin:.6rem .6rem 0 0;border-radius:6px;border:1px solid #57606a}"
    "button[value=approve]{background:#1a7f37;border-color:#1a7f37;color:#fff}"
)
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}
"""The address is the right to decide: no other page learns it, or shows this one inside itself."""


def question(registered: Registration, package: Package, title: str) -> str:
    """What there is to decide; the form is sent to the address that the page has."""
    facts = {
        "Why it passed the gate": registered.reason,
        "Run": registered.run_ts,
        "Package": registered.package_arn,
        "SHA-256 of the bundle": registered.sha256,
        "Report card": registered.card_uri,
        "State": package.status,
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    form = (
        '<form method="post"><label>Why<textarea name="why" rows="3" maxlength="500"></textarea></label><br>'
        '<button name="decision" value="approve">Approve and deploy</button>'
        '<button name="decision" value="reject">Reject</button></form>'
    )
    return _page(title, f"<dl>{listed}</dl>{form}")


def message(title: str, text: str) -> str:
    """What came of it."""
    return _page(title, f"<p>{escape(text)}</p>")


def _page(title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>'
