"""Texts with a secret planted in them, in the forms in which services write them down."""

from __future__ import annotations

SECRET = "S3CRETvalue9"

_FORMS = r"""
password=@ / password = @ / password: @ / pass=@ / passcode=@ / pwd='@' / password="@" / password='it''s @'
dbPassword: @ / new_password1=@ / password_confirmation=@ / oldpassword=@ / password_hash=@ / DB_PASSWORD: @
user=bob password=@ host=db / Server=x;User Id=sa;Password=@;Encrypt=no / AccountName=a;AccountKey=@;E=x
postgresql://bob:@@db:5432/x / redis://:@@cache:6379/0 / mongodb+srv://u:@@c.example/?x=1 / https://@@github.test/r
http://u:p%40@@h/ / jdbc:mysql://h/db?user=u&password=@ / git clone https://oauth2:@@h/x.git
https://h/?access_token=@&x=1 / https://h/#access_token=@ / GET /cb?code=@&state=1 HTTP/1.1 / /a;jsessionid=@?x=1
?sig=@&se=2024 / next=https%3A%2F%2Fh%2F%3Ftoken%3D@ / PASSWORD%3D@ / token%3A%20@ / Authorization: Bearer @
authorization=Basic @ / 'Authorization': 'Bearer @' / [('authorization', 'Bearer @')] / Bearer @ / bearer  @
Authorization: Token @ / Authorization: @ / Proxy-Authorization: Basic @== / b'Authorization: Bearer @\r\n'
Authorization: AWS4-HMAC-SHA256 Credential=@/2020/x, Signature=@ / Authorization: Digest username="x", response="@"
Cookie: a=b; session=@ / Cookie: a=b;  session=@ / Cookie: a="@"; b=c / cookie: a=b c; session=@
Headers([('cookie', 'a=@')]) / Set-Cookie: id=@; Path=/; HttpOnly / cookies={'session': '@'} / sessionid=@
PHPSESSID=@; x / csrftoken=@ / XSRF-TOKEN=@ / X-API-Key: @ / api key: @ / x-auth-token: @ / x-vault-token: @
GITHUB_TOKEN=@ / bot_token: @ / ("x-gitlab-token", "@") / AWS_SECRET_ACCESS_KEY=@ / accessKey=@ / signing_key=@
x-amz-security-token: @ / clientSecret=>@ / client-secret -> @ / {"password": "@"} / {"password":"a\"@"}
{"passwords": ["a", "@"]} / {'token': b'@'} / {\"token\": \"@\"} / {\\\"token\\\": \\\"@\\\"}
{"secret": {"a": {"b": 1}, "c": "@"}} / {"credentials": {"user": "u", "key": "@"}} / secret=["a", "@"]
token=("a", "@") / Login(user='x', password='@') / Login(user='x', password=SecretX('@'))
auth=BasicAuth(login='bob', password='@') / --password @ / --password=@ / --token @ run / export TOKEN=@
<password>@</password> / <ns:Password>@</ns:Password> / <x password="@"/> / PASSWORD '@'
ALTER USER x IDENTIFIED BY '@' / otp=@ / cvv: @ / card_number=@ / curl -H 'X-Api-Key: @' https://h
eyJhbGciOiJI.eyJzdWIi.@ / jwt=eyJhbGciOiJI.eyJzdWIi.@ / eyJhbGciOiJI.@.c2ln / [SQL: SELECT * FROM u WHERE n = '@']
SELECT * FROM u WHERE n = '@' / INSERT INTO u (a) VALUES ('@', 5) / UPDATE u SET p = '@' / DELETE FROM u WHERE e='@'
REPLACE INTO u VALUES ("@") / select a from b where c = $$@$$ / cur.execute("SELECT x FROM y WHERE z = \'@\'")
[parameters: ('@', 'x')] / [parameters: {'n_1': '@'}] / [parameters: [('a', '@'), ('b', 'c')]]
[generated in 0.1s] ('b', '@') / [cached since 1.2s ago] ('b', '@') / [raw sql] ('@',)
DETAIL:  Key (email)=(@) already exists. / Failing row contains (1, @, null).
(1062, "Duplicate entry '@' for key 'u.email'") / Duplicate entry '@ / syntax error at or near "@"
near "@": syntax error / invalid input syntax for type integer: "@" / dup key: { email: "@" }
"""

# Those of several lines.
_LINES = (
    "Authorization: Bearer\r\n @",
    '{"password":\n    "@"}',
    '{"secret": [\n "a",\n "@"\n]}',
    "password: |\n  @\nuser: bob",
    "password: >-\n  a\n  @",
    "-----BEGIN RSA PRIVATE KEY-----\n@\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\\n@\\n-----END OPENSSH PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n@\n",
    "SELECT *\nFROM u\nWHERE n = '@'\n",
    "DETAIL:  Key (email)=(@) already exists.\n[SQL: INSERT INTO u VALUES ('@')]\n[parameters: ('@', 'x')]\n(x",
)

PLANTED = [
    form.replace("@@", f"{SECRET}@").replace("@", SECRET) if "@@" in form else form.replace("@", SECRET)
    for form in [*(form for line in _FORMS.strip().splitlines() for form in line.split(" / ")), *_LINES]
]
"""Each holds `SECRET`."""
PLANTED = [text.replace(f"{SECRET}{SECRET}", f"{SECRET}@") for text in PLANTED]

PROSE = [
    "please select one of 5 from the list of 3, or insert 2 coins (not tokens)",
    "updated 7 rows in set 4; deleted 2 from cache 'a'",
    "Select a plan and press (OK): it's 5 of 7",
    "token (a word) -> nothing > 3",
    "the key (email) = (unique) row contains nothing",
    "input is 'x': near the end",
    "GET /items/5 HTTP/1.1 200 in 5 ms (cached)",
    "tokens=512 max_tokens=100 next_token=a pageToken=b input_tokens: 5",
    "session.id=5 session_id=6 session: 'x'",
    "if tokens > 5 and key > 3: pass",
    "job 'nightly' (id 7): done, took 5 s",
    "received card from deck; recv: 5, cv: bob.pdf",
]
"""Lines that only look as if they held one."""
