"""Texts that contain a secret, in the forms that occur in logs and spans of services."""

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
/x?user%255Bpassword%255D=@ / /x?%2570assword=@ / /x?next=%252Fcb%253Fcode%253D@ / /x?auth=@ / ?client_assertion=@&x=1
GET /x/a%3Bjsessionid%3D@?x=1 HTTP/1.1 / GET /x/https%3A//bob%3A@%40h/ HTTP/1.1 / postgres%3A%2F%2Fbob%3A@%40db%2Fx
postgres:\/\/bob:@@db\/x / '//u:@@h/x' / DRIVER=X;UID=sa;PWD=a b @;X=1 / DRIVER=X;UID=sa;PWD={a}}b@};X=1
host=db password=a\ @ dbname=x / password: <@> / password: `@` / password\u003d@: / password\t=\t@
Authorization: NTLM @ / Authorization: JWT @ / Authorization: SharedKey account:@ / Authorization: Hawk id="a", mac="@"
"Authorization: Hawk id=\"a\", mac=\"@\"" / Authorization: AWS AKIA:@ / sent Negotiate @ / sent ApiKey @
WWW-Authenticate: Negotiate @ / sent Digest username="u", response="@" / <Cookies[<Cookie sid=@ for h />]>
"cookie: \"a=1; sid=@\"" / (\"x-api-key\", b\'@\') / FormData([('username', 'u'), ('password', '@')]) / ["secret", "@"]
X-Auth-Key: @ / x-hub-signature-256: sha256=@ / stripe-signature: @ / Ocp-Apim-Subscription-Key: @ / DB_PASS=@
SharedAccessSignature=@ / bindpw=@ / user_password_2=@ / {"PASSWORD2": "@"} / password_new=@ / {"SecretString": "@"}
token_value=@ / id_token_hint=@ / requests.get(u, auth=('bob', '@')) / basic_auth=('u', '@') / {"auth": "@"}
{"name": "password", "value": "@"} / {'name': 'DB_PASSWORD', 'value': '@'} / <add key="password" value="@"/>
<property name="password">@</property> / <password type="x">a @</password> / <password><![CDATA[@]]></password>
{&quot;password&quot;:&quot;@&quot;} / %22password%22:%22@%22 / \u0022password\u0022:\u0022@\u0022
{\\\\\\\\\\"token\\\\\\\\\\": \\\\\\\\\\"@\\\\\\\\\\"}
password was "@" / api key 'a1@' was wrong / Incorrect API key provided: @ / password = \"\"\"@\"\"\"
code=aA1@ / {'code': 'aA1@'}
eyJhbGciOiJI..@ / eyJhbGciOiJI.a2V5.aXY.@.dGFn / ghp_abcdefghijklmnopqrst@ / sk-abcdefghijklmnopqrst@
AIzaabcdefghijklmnopqrst@
---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n@ / [type=string_too_long, input_value='@', input_type=str]
{'type': 'too_long', 'loc': ('body', 'a'), 'msg': 'x', 'input': '@', 'ctx': {}}
{\"loc\":[],\"msg\":\"x\",\"input\":{\"a\":\"@\"}}
Key (lower(email::text))=(@) already exists. / Incorrect integer value: '@' for column 'x' at row 1
value "@" is out of range for type integer / date/time field value out of range: "@"
Truncated incorrect DOUBLE value: '@'
unknown command 'X', with args beginning with: '@' / Command # 3 (LPUSH k @) of pipeline caused error: WRONGTYPE
(1064, "the right syntax to use near 'selec '@'' at line 1") / right syntax to use near '@
select '@' / select crypt('@', 'x') / ran "SELECT 'x', '@'" now
SyntaxError('at x\nLINE 2: SELEC \'@\'') / LINE 1: SELEC '@' / [SQL: CALL login('bob', '@')]
near "@": syntax error / invalid input syntax for type integer: "@" / dup key: { email: "@" }
"""

# Forms of several lines.
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
    "token=\u2028@",
    "passwd=\xa0@",
    "DETAIL:  Key (email)=(@) already exists.\n[SQL: INSERT INTO u VALUES ('@')]\n[parameters: ('@', 'x')]\n(x",
)

PLANTED = [
    form.replace("@@", f"{SECRET}@").replace("@", SECRET) if "@@" in form else form.replace("@", SECRET)
    for form in [*(form for line in _FORMS.strip().splitlines() for form in line.split(" / ")), *_LINES]
]
"""Texts that contain `SECRET`."""
PLANTED = [text.replace(f"{SECRET}{SECRET}", f"{SECRET}@") for text in PLANTED]

STATEMENTS = [
    f"{statement.replace('@', SECRET)}"
    for statement in (
        "CALL login('bob', '@')", "EXEC login 'bob', '@'", "PRAGMA key = '@'", "VALUES ('@')",
        "WITH x (a) AS (VALUES ('@')) TABLE x", "SET PASSWORD FOR bob = '@'", "SHOW TABLES LIKE '@'",
        "ATTACH DATABASE 'x' AS y KEY '@'", "Row ('@', 1)",
    )
]  # fmt: skip
"""Messages that are a whole statement, as database engines log them."""

PROSE = [
    "code 404, status code: 404, error code: E1234, code=ECONNREFUSED, code=PGRST116, exit code: 1",
    '{"code": "not_found"}, country_code=KR, {"code": "InvalidParameterValue"}',
    "Unexpected token '}' in JSON, unexpected token 'function', invalid token `foo`, token 'abc'",
    "the password is too short; password must contain 8 characters",
    "auth: ok, auth service is up: 3 replicas, jwt: decoded, auth-api: started, pw: 5 mm",
    "digest sha256:abcdef0123456789, negotiate protocol version 3, token_type=bearer expires_in=3600",
    "asia-northeast3: ok, ghost_mode=on, high_priority=5, task sk-1 done",
    "columns: ('id', 'password', 'name'), ['password', 'email', 'name'], loc=('body', 'password')",
    "KeyError: 'token'; 'NoneType' object has no attribute 'token'",
    "(a: 5) the value \"x\" is odd; input: 'a' msg 5; incorrect value: 5",
    "https://h/users/bob%40example.com/orders, //foo/bar comment, 40% at 12:40",
    "bypass=yes compass=n first_pass=3 render_pass: 2 method_signature=foo cookie consent: given",
    "Set the 'x' option, show 'y', line 5: unexpected 'z'",
    "authorization: denied for role admin",
    "{'loc': ('a',), 'msg': 'Field required', 'input': None}",
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
"""Lines that look like secrets and are none."""
