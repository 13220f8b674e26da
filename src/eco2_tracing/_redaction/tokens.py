"""Finds credentials by their prefix, as their issuers and public secret scanners document it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import CHEAP, Budget

_W = r"[\w-]"
_DIGIT_WITHIN = r"(?=[\w.~+/=-]{0,40}\d)"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

# Prefixes, and the patterns of the bodies after them. A body that may hold `-` or `_` needs a digit near its beginning,
# because `sk-learn-pipeline-with-steps` is a word. The bounds of the repetitions keep the search linear.
_ALNUM = rf"{_DIGIT_WITHIN}(?=[A-Za-z0-9+/]{{12}})[A-Za-z0-9]{{12,200}}[\w+/=-]{{0,200}}"
_DASHED = rf"{_DIGIT_WITHIN}{_W}{{16,200}}"
_FORMS = (
    # Amazon, Alibaba, Tencent, JFrog, EasyPost
    ("AKIA ASIA ABIA ACCA", "[A-Z0-9]{16}"),
    ("LTAI AKCp AKID EZAK EZTK", "[A-Za-z0-9]{12,200}"),
    # GitHub, npm, Hugging Face, Linear, Notion, Netlify, Vercel, Replicate, Groq, Prefect, Deno, PostHog, Render,
    # Buildkite, Sourcegraph, ReadMe, Clojars, Shippo, Typeform, Pinecone, RubyGems, Stripe's webhooks, Grafana
    (("gh[opsur]_ npm_ hf_ api_org_ lin_api_ lin_oauth_ secret_ ntn_ nf[cpou]_ vc[pkairst]_ r8_ gsk_ pnu_ dd[op]_"
      " ph[xs]_ rnd_ bkua_ sgp_ rdme_ CLOJARS_ shippo_(?:live|test)_ tfp_ pcsk_ rubygems_ whsec_ glc_"
      " glsa_ eyJrIjoi"), _ALNUM),
    # Sentry, Shopify, DigitalOcean, Supabase, CircleCI, Pulumi, crates.io, NuGet, Databricks, Meta and Square,
    # Atlassian, xAI, Perplexity, Adobe, Mailgun, Ubidots, 1Password, LangSmith, Flutterwave
    (("sntry[su]_ shp(?:at|ca|pa|ss|tka)_ do[opr]_v1_ sbp_ CCIPAT_ pul- cio oy2 dapi dkea EAA ATBB ATATT ATCTT xai-"
      " pplx- p8e- key- BBFF- ops_ lsv2_(?:pt|sk)_ FLWSECK(?:_TEST)?-"), _ALNUM),
    # RunPod, Pydantic, Neon, Polar, Unkey, Together, CockroachDB, LogicMonitor, Mergify, Lichess, Pangea, Thunderstore,
    # Samsara, Open VSX, Pinterest, Seam, Iterative, Chief Tools, Rootly, CodeSandbox, Paddle, Anyscale, Persona, Permit
    (("rpa_ napi_ polar_oat_ unkey_ CCDB1_ lmb_ mka_ lip_ pts_ tss_ samsara_api_ pina_ seam_ isat_ ctp_ rootly_"
      " pdl_(?:live|sdbx)_apikey_ esecret_ persona_(?:sandbox|production)_ permit_key_ FLWPUBK_TEST-"), _ALNUM),
    ("tgp_v1_ csb_v1_ ovsx(?:p|at)_ pylf_v1_[a-z]{2}_", _DASHED),
    ("waka_", _UUID),
    ("sk_", "[0-9a-f]{48}"),
    ("github_pat_", r"\w{20,200}"),
    ("gl(?:pat|ptt|dt|rtr?|cbt|ft|imt|agent|oas|soat|ffct)- GR1348941", rf"{_W}{{16,200}}"),
    (r"xox[a-z]- xapp- xwfp- xoxe\.xox[bp]-", rf"{_W}{{10,200}}"),
    ("[sp]k_(?:live|test|prod)_ rk_(?:live|test|prod)_", r"\w{10,200}"),
    # OpenAI, Anthropic and others; New Relic, Square, Brevo, Frame.io, Google, Yandex, Figma, Contentful, Fly
    ("sk- NR(?:AK|AA|II|JS|IQ|RA|SP)- sq0[a-z]{3}- xkeysib- fio-u- GOCSPX- AIza AQVN figd_ CFPAT- fo1_", _DASHED),
    ("dckr_(?:pat|oat)_ sb_secret_ pscale_(?:tkn|pw|oauth)_ duffel_(?:live|test)_ HRKU- PMAK- PMAT- pypi-Ag", _DASHED),
    # NVIDIA, Tavily, Apify, Jina, Weights & Biases, Zuplo, Defined Networking, Midtrans, Cal.com, Trigger, Cloudflare
    ("nvapi- tvly- dnkey- SB-Mid-server- Mid-server- wandb_v1_ cal_(?:live|test)_ cal_ tr_(?:prod|dev|stg)_", _DASHED),
    ("apify_api_ jina_ zpka_ cf(?:ut|at|k)_", _ALNUM),
    # SonarQube, E2B, 42, Kaggle, Firecrawl, Infracost, Adafruit, Cerebras, Fireworks, ClickHouse, Docker Swarm, Octopus
    ("sq[uap]_ e2b_", "[0-9a-f]{40}"),
    ("[us]-s4t2ud-", "[0-9a-f]{64}"),
    ("KGAT_ fc-", "[0-9a-f]{32}"),
    ("ico- csk- aio_", rf"{_DIGIT_WITHIN}[A-Za-z0-9]{{28,200}}"),
    ("fw_", "(?=[a-z0-9]{0,23}[A-Z])(?=[A-Za-z]{0,23}[0-9])[A-Za-z0-9]{22,24}(?![A-Za-z0-9])"),
    ("4b1d", "(?=[a-z0-9]{0,37}[A-Z])[A-Za-z0-9]{38}(?![A-Za-z0-9])"),
    ("SWMTKN-1-", "[a-z0-9]{25,64}-[a-z0-9]{20,32}"),
    ("API-", "(?=[A-Z]{0,25}[0-9])[A-Z0-9]{26}(?![A-Za-z0-9])"),
    # JFrog, Amazon Bedrock, Fernet (OpenStack), Dropbox, Yandex, GoCardless, Scalingo, SettleMint
    ("cmVmd", "[A-Za-z0-9]{59}"),
    ("ABSK", "[A-Za-z0-9+/]{80,200}"),
    ("bedrock-api-key-", "[A-Za-z0-9]{20,200}"),
    ("gAAAAA", rf"{_W}{{64,200}}"),
    (r"sl\.", rf"(?:u\.)?{_W}{{100,200}}"),
    (r"t1\.", rf"{_W}{{8,200}}={{0,2}}\.{_W}{{80,100}}"),
    ("YC", rf"{_DIGIT_WITHIN}{_W}{{38}}(?![\w-])"),
    ("live_ sandbox_", rf"(?=[\w-]{{0,20}}\d)(?=[\w-]{{0,20}}[A-Z]){_W}{{40}}"),
    ("tk-us-", rf"{_W}{{48}}"),
    ("sm_(?:pat|aat|sat)_", "[A-Za-z0-9]{16}"),
    # Salesforce, Harness
    ("00D", r"[A-Za-z0-9]{12,15}(?:!|%21)[\w.]{60,200}"),
    (r"[ps]at\.", rf"{_W}{{22}}\.[0-9a-f]{{24}}\.[A-Za-z0-9]{{20}}"),
    ("AGE-SECRET-KEY-", "[A-Z0-9]{20,200}"),
    ("rzp_(?:live|test)_", rf"{_DIGIT_WITHIN}[A-Za-z0-9]{{12,200}}"),
    ("live_ test_", "[0-9a-f]{35}"),
    ("re_", "[A-Za-z0-9]{8,16}_[A-Za-z0-9]{16,64}"),
    ("tskey-[a-z]{2,16}-", "[A-Za-z0-9-]{16,200}"),
    (r"pat-[a-z]{2}\d- access-(?:production|development|sandbox)-", _UUID),
    # Vault, Google, OpenShift, Microsoft Entra
    (r"hv[sbr]\. ya29\. sha256~ Q~", rf"{_DIGIT_WITHIN}[\w.~-]{{20,200}}"),
    (r"SG\.", rf"{_W}{{16,64}}\.{_W}{{16,64}}"),
    (r"dp\.(?:pt|st|ct|sa|scim|audit)\.", r"(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{32,64}"),
    (r"atlasv1\.", rf"{_W}{{40,200}}"),
    (r"s\.", "(?=[a-z0-9]{0,23}[A-Z])(?=[A-Za-z]{0,23}[0-9])[A-Za-z0-9]{24}(?![A-Za-z0-9])"),
    ("pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    (r"v1\.0-", "[0-9a-f]{24}-[0-9a-f]{100,200}"),
    (r"dt0[a-z]\d\d\.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    ("SK AC", "[0-9a-f]{32}"),
    ("A3-", "[A-Z0-9]{6}-[A-Z0-9]{11}(?:-[A-Z0-9]{5}){2,3}"),
    ("fm[12]_", r"[\w+/=,-]{20,200}"),
    ("1(?://|%2[fF]%2[fF])", rf"{_DIGIT_WITHIN}{_W}{{28,200}}"),
    (r"production(?:\$|%24)", r"[a-z0-9]{16}(?:\$|%24)[0-9a-f]{32}"),
    # Telegram, Discord
    (r"\d{7,12}(?::|%3[aA])AA", rf"{_W}{{30,64}}"),
    ("[MNO](?=[A-Za-z0-9]{20})", rf"[A-Za-z0-9]{{23,25}}\.{_W}{{6}}\.{_W}{{27,64}}"),
)  # fmt: skip


def alternatives(patterns: Iterable[str]) -> str:
    """Return one pattern for several, grouped by their first letter. So each position needs one comparison only.

    Those that do not begin with a letter or a digit are put last.
    """
    letters: dict[str, list[str]] = {}
    others: list[str] = []
    for pattern in patterns:
        if pattern[0].isalnum():
            letters.setdefault(pattern[0], []).append(pattern[1:])
        else:
            others.append(pattern)
    return "|".join([*(f"{letter}(?:{'|'.join(rests)})" for letter, rests in letters.items()), *others])


_ALTERNATIVES = alternatives(prefix for prefixes, _ in _FORMS for prefix in prefixes.split())
_PREFIX = lazy(_ALTERNATIVES)
# A prefix at the beginning of a word, and Microsoft Entra's prefix within a word. It is faster than `_PREFIX`, because
# it skips the rest of each word.
_PREFIX_OF_WORD = lazy(rf"(?<![A-Za-z0-9])(?:{_ALTERNATIVES})|Q~")
_WHOLE = lazy(alternatives(prefix + body for prefixes, body in _FORMS for prefix in prefixes.split()))
# Each token contains such a run of letters, digits, `_` and `-`. A text without a run holds no token.
_RUN = re.compile(r"[A-Za-z0-9_-]{16,}")
find_run = _RUN.search
"""Returns the match of a run, or ``None``."""

_WORDS = lazy(r"[a-z_-]+\Z")
# The whole text is a UUID or hexadecimal digits.
_ID = lazy(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z|[0-9a-f]+\Z")
_UUID_ALONE = lazy(_UUID)
_REACH = 20  # how many characters before a run a prefix can begin
_ESCAPES = lazy(r"%[0-9A-Fa-f]{2}[A-Za-z0-9]|\\[nrtbfu]|\[\d{0,3}m|/bot")  # see `begins_word`
# The part of a token before its prefix: Terraform, Microsoft Entra.
_HEAD = lazy(r"[A-Za-z0-9]{14}\.\Z|[\w~.-]{3}\d\Z")
_TAIL = lazy(r"(?:[\w.~+/=-]|%(?:2[bBfF]|3[dD]))*+")
_MAILCHIMP = lazy(r"[0-9a-f]{32}-us\d{1,2}(?!\w)")
# Separators before a token that end with a letter or a digit: `%3D`, `\n`, `\u003d`, and Telegram's `/bot`.
_BEFORE = lazy(r"(?:%(?:25){0,2}[0-9A-Fa-f]{2}|\\[nrtbf]|\\u00[0-9A-Fa-f]{2}|/bot|\[\d{0,3}m)\Z")

# Webhooks of Slack, Discord, Teams, Zapier, IFTTT, Make, Lark, WeCom and Mattermost. Their URLs are credentials.
WEBHOOK = lazy(
    r"""hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/([\w/+=-]+)
      | /api/(?:v\d{1,3}/)?webhooks/\d{1,24}/([\w-]+)
      | /with/key/([\w-]{16,128})
      | \bhook\.(?:[a-z0-9]{1,8}\.)?(?:make|integromat)\.com/([\w-]+)
      | /open-apis/bot/v2/hook/([\w-]+)
      | /webhook/send\?key=([\w-]+)
      | /hooks/([a-z0-9]{26})(?![\w-])
      | (?:webhook\.office\.com/webhookb2|outlook\.office\.com/webhook)/([\w@/-]+)
      | hooks\.zapier\.com/hooks/catch/([\w/]+)
      | api\.telegram\.org/bot(\d{6,12}:[\w-]+)""",
    re.VERBOSE,
)  # fmt: skip


def find_tokens(text: str, budget: Budget) -> list[tuple[int, int]]:
    """Return the spans of tokens with a known prefix."""
    spans: list[tuple[int, int]] = []
    if _ID.match(text):
        return spans
    done = 0
    escaped = _ESCAPES.search(text) is not None
    for run in _RUN.finditer(text):
        start, end = run.span()
        if end <= done:
            continue
        if budget.left <= 0:
            spans.append((start, len(text)))
            break
        budget.left -= 2 * CHEAP
        if _UUID_ALONE.fullmatch(text, start, end):
            continue
        place = text.find("-us", start, end) - 32
        if place >= start and (mailchimp := _MAILCHIMP.match(text, place)) is not None:
            spans.append(mailchimp.span())
            continue
        if _WORDS.match(text, start, end) and not _PREFIX.match(text, start):
            continue
        at = max(done, start - _REACH)
        search = _PREFIX_OF_WORD.search
        if escaped and _ESCAPES.search(text, max(0, at - 8), end) is not None:
            search = _PREFIX.search
            budget.left -= end - at
        while budget.left > 0:
            found = search(text, at, end)
            if found is None:
                break
            at = found.start()
            budget.left -= 2 * CHEAP
            begin = _token_start(text, at)
            token = _WHOLE.match(text, at) if begin >= 0 else None
            if token is None:
                at += 1
                continue
            tail = _TAIL.match(text, token.end())
            done = token.end() if tail is None else tail.end()
            spans.append((begin, done))
            break  # the rest of the word belongs to the token
        else:
            spans.append((at, len(text)))  # the budget is exhausted: the rest is masked
            break
    return spans


def _token_start(text: str, at: int) -> int:
    """Return the beginning of the token with a prefix at a position; -1 if the prefix is in the middle of a word."""
    if text.startswith(("atlasv1", "Q~"), at):
        head = _HEAD.search(text, max(0, at - 15), at)
        return -1 if head is None else head.start()
    return at if begins_word(text, at) else -1


def begins_word(text: str, at: int) -> bool:
    """Return True if a word begins at a position. An escaped character before it does not belong to the word."""
    before = text[at - 1 : at]
    return not (before.isalnum() and before.isascii()) or _BEFORE.search(text, max(0, at - 8), at) is not None
