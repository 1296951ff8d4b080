//! An authorisation server (RFC 6749) over plain HTTP on this machine: codes with PKCE (RFC 7636), devices (RFC 8628), refresh tokens
//! that rotate or do not, revocation (RFC 7009), and introspection (RFC 7662), by which a real Dovecot asks it about tokens.
//!
//! ```ignore
//! let server = OauthServer::start(OauthOptions::default());
//! … authorize: server.url("authorize"), token: server.url("token") …
//! let back = server.browse(&address);            // as the browser of a user who says yes
//! server.fail(Fault::Denied("google-revoked"));  // the next question for tokens
//! assert_eq!(server.asked().len(), 2);
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ring::{digest, signature};

const PATIENCE: Duration = Duration::from_secs(20);

/// What refusals look like, word for word: name, status, body.
pub const BODIES: &[(&str, u16, &str)] = &[
    ("google-revoked", 400, r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#),
    (
        "ms-password",
        400,
        r#"{"error":"invalid_grant","error_description":"AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is needed.\r\nTrace ID: 0f1e","error_codes":[50173],"suberror":"bad_token"}"#,
    ),
    (
        "ms-frequency",
        400,
        r#"{"error":"invalid_grant","error_description":"AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.","error_codes":[70043],"suberror":"token_expired"}"#,
    ),
    (
        "ms-unused",
        400,
        r#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired due to inactivity.","error_codes":[700082]}"#,
    ),
    (
        "ms-conditional",
        400,
        r#"{"error":"invalid_grant","error_description":"AADSTS53003: Access has been blocked by Conditional Access policies.","error_codes":[53003],"suberror":"message_only"}"#,
    ),
    (
        "ms-mfa",
        400,
        r#"{"error":"interaction_required","error_description":"AADSTS50076: you must use multi-factor authentication","error_codes":[50076],"suberror":"basic_action"}"#,
    ),
    (
        "ms-consent",
        400,
        r#"{"error":"invalid_grant","error_description":"AADSTS65001: The user or administrator has not consented","error_codes":[65001],"suberror":"consent_required"}"#,
    ),
    (
        "ms-no-secret",
        401,
        r#"{"error":"invalid_client","error_description":"AADSTS7000218: The request body must contain client_assertion or client_secret.","error_codes":[7000218]}"#,
    ),
    (
        "ms-public",
        401,
        r#"{"error":"invalid_client","error_description":"AADSTS700025: Client is public so neither client_assertion nor client_secret should be presented.","error_codes":[700025]}"#,
    ),
    (
        "ms-secret-old",
        401,
        r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired.","error_codes":[7000222]}"#,
    ),
    (
        "ms-tenant",
        400,
        r#"{"error":"unauthorized_client","error_description":"AADSTS700016: Application not found in the directory.","error_codes":[700016]}"#,
    ),
    (
        "ms-no-scope",
        400,
        r#"{"error":"invalid_request","error_description":"AADSTS900144: The request body must contain the following parameter: 'scope'.","error_codes":[900144]}"#,
    ),
    (
        "ms-scope",
        400,
        r#"{"error":"invalid_scope","error_description":"AADSTS70011: The provided value for the input parameter 'scope' is not valid.","error_codes":[70011]}"#,
    ),
    ("unauthorized", 400, r#"{"error":"unauthorized_client"}"#),
    ("denied", 400, r#"{"error":"access_denied"}"#),
];

/// What becomes of a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It stays, and the answer names none.
    Keep,
    /// A new one comes, and the old one ends when the new one is used for the first time.
    Lenient,
    /// A new one comes, and the old one ends at once.
    Strict,
}

/// What goes wrong when tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One of [`BODIES`].
    Denied(&'static str),
    /// This status, with a page for people.
    Status(u16),
    /// A page for people in the place of tokens, as the network of a hotel has it.
    Page,
    /// The question is read and the connection closed.
    Silence,
    /// The question is read, and nothing comes for longer than anybody waits.
    Hang,
    /// An answer without end.
    Flood,
    /// The answer breaks off, after the tokens were made.
    Cut,
    /// The answer comes after this time, in milliseconds; the tokens are made at once.
    Late(u64),
}

#[derive(Clone, Debug)]
pub struct OauthOptions {
    pub rotation: Rotation,
    /// What clients have to show; `None`: a public one, which must show nothing.
    pub secret: Option<String>,
    /// Said as `iss` with the code.
    pub iss: Option<String>,
    /// With the first so many codes no refresh token is given, unless `prompt=consent` was asked for.
    pub codes_without_refresh: usize,
    /// `None`: it is not said.
    pub expires_in: Option<u64>,
    /// What questions about a device are answered with, one after the other; then tokens come.
    pub device: Vec<&'static str>,
    /// Said of the refresh token; `None`: it is not said.
    pub ends_in: Option<u64>,
    /// Whose mailbox tokens are for.
    pub user: String,
    /// The public key of a service account (RFC 8017 A.1.1).
    pub key: Option<Vec<u8>>,
}

impl Default for OauthOptions {
    fn default() -> Self {
        OauthOptions {
            rotation: Rotation::Lenient,
            secret: None,
            iss: None,
            codes_without_refresh: 0,
            expires_in: Some(3600),
            device: Vec::new(),
            user: "me".to_owned(),
            key: None,
            ends_in: None,
        }
    }
}

pub type Form = BTreeMap<String, String>;

#[derive(Default)]
struct State {
    /// Codes and what they were asked with.
    codes: BTreeMap<String, Form>,
    /// Refresh tokens that are good, with the one each came of.
    refresh: BTreeMap<String, Option<String>>,
    /// Access tokens that are good.
    access: Vec<String>,
    faults: VecDeque<Fault>,
    always: Option<Fault>,
    asked: Vec<Form>,
    revoked: Vec<Form>,
    device_answers: VecDeque<&'static str>,
    /// How often the last refresh token was given to somebody.
    given: usize,
    last: Option<String>,
    introspected: usize,
}

pub struct OauthServer {
    port: u16,
    options: Arc<OauthOptions>,
    state: Arc<Mutex<State>>,
}

impl OauthServer {
    pub fn start(options: OauthOptions) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let state = State { device_answers: options.device.iter().copied().collect(), ..State::default() };
        let server = OauthServer { port, options: Arc::new(options), state: Arc::new(Mutex::new(state)) };
        let (options, state) = (Arc::clone(&server.options), Arc::clone(&server.state));
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let (options, state) = (Arc::clone(&options), Arc::clone(&state));
                // A client that has gone needs no answer.
                std::thread::spawn(move || serve(stream, port, &options, &state).ok());
            }
        });
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `authorize`, `token`, `device`, `revoke`, `introspect`.
    pub fn url(&self, endpoint: &str) -> String {
        format!("http://127.0.0.1:{}/{endpoint}", self.port)
    }

    /// The value of `oauth2` in a config.
    pub fn yaml(&self) -> String {
        let secret =
            self.options.secret.as_ref().map(|secret| format!(", client_secret: {secret}")).unwrap_or_default();
        let urls: Vec<String> =
            ["authorize", "token", "device", "revoke"].map(|name| format!("{name}: '{}'", self.url(name))).into();
        format!("{{client_id: the-app{secret}, scope: [mail, offline_access], {}}}", urls.join(", "))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next question for tokens goes wrong.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Each one does, until `None`.
    pub fn fail_always(&self, fault: Option<Fault>) {
        self.state().always = fault;
    }

    /// The forms by which tokens were asked for.
    pub fn asked(&self) -> Vec<Form> {
        self.state().asked.clone()
    }

    /// Those by which a refresh token was used.
    pub fn renewals(&self) -> usize {
        self.asked().iter().filter(|form| form.get("grant_type").is_some_and(|grant| grant == "refresh_token")).count()
    }

    pub fn revoked(&self) -> Vec<Form> {
        self.state().revoked.clone()
    }

    /// No access token is good any more.
    pub fn end_access(&self) {
        self.state().access.clear();
    }

    /// The user takes it back on the pages of the provider.
    pub fn forget(&self, refresh: &str) {
        self.state().refresh.remove(refresh);
    }

    /// Whether a refresh token would be taken.
    pub fn takes(&self, refresh: &str) -> bool {
        self.state().refresh.contains_key(refresh)
    }

    /// How often a server asked about a token.
    pub fn introspected(&self) -> usize {
        self.state().introspected
    }

    /// Every token that was ever made begins with one of these.
    pub const MARKS: [&'static str; 4] = ["ACCESS-", "REFRESH-", "CODE-", "DEVICE-"];

    /// Opens an address as a browser would whose user says yes, and returns the address to which it is sent back.
    pub fn browse(&self, address: &str) -> String {
        let answer = get(address);
        let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
        location.unwrap_or_else(|| panic!("{answer}")).trim().to_owned()
    }
}

/// Opens an address of this machine and returns the whole answer.
pub fn get(address: &str) -> String {
    let rest = address.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').map_or((rest, String::new()), |(a, path)| (a, path.to_owned()));
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

struct Request {
    path: String,
    query: Form,
    headers: Vec<(String, String)>,
    form: Form,
}

fn read(stream: &mut TcpStream) -> io::Result<Request> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let target = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < head_end + length {
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
    let form = fields(&String::from_utf8_lossy(&bytes[head_end..]));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Ok(Request { path: path.to_owned(), query: fields(query), headers, form })
}

pub fn fields(text: &str) -> Form {
    text.split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'%' => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                rest = &after[2..];
            }
            b'+' => bytes.push(b' '),
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn serve(mut stream: TcpStream, port: u16, options: &OauthOptions, state: &Mutex<State>) -> io::Result<()> {
    let request = read(&mut stream)?;
    let text = |status: u16, more: &str, body: &str| {
        format!("HTTP/1.1 {status} X\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let json = |(status, body): (u16, String)| text(status, "Content-Type: application/json\r\n", &body);
    let answer = match request.path.as_str() {
        "/authorize" => {
            text(302, &format!("Location: {}\r\n", authorized(&request.query, options, &mut state.lock().unwrap())), "")
        }
        "/token" => {
            let fault = {
                let mut state = state.lock().unwrap();
                state.asked.push(request.form.clone());
                state.faults.pop_front().or(state.always)
            };
            match fault {
                None if request.form.get("grant_type").is_some_and(|grant| grant.ends_with("jwt-bearer")) => {
                    match signed(&request.form, options, port) {
                        Some(_) => json(given(options, &mut state.lock().unwrap(), None)),
                        None => {
                            json((400, r#"{"error":"invalid_grant","error_description":"Invalid JWT"}"#.to_owned()))
                        }
                    }
                }
                None => json(tokens(&request.form, options, &mut state.lock().unwrap())),
                Some(Fault::Cut) => {
                    let whole = json(tokens(&request.form, options, &mut state.lock().unwrap()));
                    whole[..whole.len() - 20].to_owned()
                }
                Some(Fault::Late(milliseconds)) => {
                    let whole = json(tokens(&request.form, options, &mut state.lock().unwrap()));
                    std::thread::sleep(Duration::from_millis(milliseconds));
                    whole
                }
                Some(Fault::Silence) => return Ok(()),
                Some(Fault::Hang) => {
                    std::thread::sleep(Duration::from_secs(50));
                    return Ok(());
                }
                Some(Fault::Flood) => {
                    stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n{\"access_token\":\"")?;
                    loop {
                        stream.write_all(&[b'x'; 4096])?;
                    }
                }
                Some(Fault::Status(status)) => text(status, "Content-Type: text/html\r\n", "<html>busy</html>"),
                Some(Fault::Page) => text(200, "Content-Type: text/html\r\n", "<html>please pay first</html>"),
                Some(Fault::Denied(name)) => {
                    let (_, status, body) = BODIES.iter().find(|(known, ..)| *known == name).unwrap();
                    // What a careless server repeats.
                    let repeated = request.form.get("refresh_token").cloned().unwrap_or_default();
                    json((*status, body.replace("Token has", &format!("Token {repeated} has"))))
                }
            }
        }
        "/device" => json((
            200,
            format!(
                r#"{{"device_code":"DEVICE-1","user_code":"ABCD-EFGH","verification_uri":"http://127.0.0.1:{port}/enter","expires_in":900,"interval":1}}"#
            ),
        )),
        "/revoke" => {
            let mut state = state.lock().unwrap();
            state.revoked.push(request.form.clone());
            match state.faults.pop_front() {
                Some(Fault::Status(status)) => text(status, "", "busy"),
                _ => match state.refresh.remove(request.form.get("token").map_or("", String::as_str)) {
                    Some(_) => json((200, "{}".to_owned())),
                    None => json((400, r#"{"error":"invalid_token"}"#.to_owned())),
                },
            }
        }
        "/introspect" => {
            let mut state = state.lock().unwrap();
            state.introspected += 1;
            let bearer = request.headers.iter().find(|(name, _)| name == "authorization");
            let token = bearer.and_then(|(_, value)| value.strip_prefix("Bearer ")).unwrap_or_default();
            match state.access.iter().any(|known| known == token) {
                true => json((200, format!(r#"{{"active":true,"email":"{}"}}"#, options.user))),
                false => json((401, r#"{"active":false,"error":"invalid_token"}"#.to_owned())),
            }
        }
        _ => text(404, "", "nothing here"),
    };
    stream.write_all(answer.as_bytes())
}

fn authorized(query: &Form, options: &OauthOptions, state: &mut State) -> String {
    let field = |name: &str| query.get(name).cloned().unwrap_or_default();
    let complete =
        field("response_type") == "code" && field("client_id") == "the-app" && field("code_challenge_method") == "S256";
    let back = field("redirect_uri");
    if !complete {
        return format!("{back}?error=invalid_request&state={}", encoded(&field("state")));
    }
    let code = format!("CODE-{}", state.codes.len() + 1);
    state.codes.insert(code.clone(), query.clone());
    let iss = options.iss.as_ref().map(|iss| format!("&iss={}", encoded(iss))).unwrap_or_default();
    format!("{back}/?code={code}&state={}{iss}", encoded(&field("state")))
}

fn tokens(form: &Form, options: &OauthOptions, state: &mut State) -> (u16, String) {
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let no = |error: &str| (400, format!(r#"{{"error":"{error}"}}"#));
    let named = |name: &str| {
        let (_, status, body) = BODIES.iter().find(|(known, ..)| *known == name).unwrap();
        (*status, (*body).to_owned())
    };
    match (&options.secret, form.get("client_secret")) {
        (None, Some(_)) => return named("ms-public"),
        (Some(wanted), shown) if shown != Some(wanted) => return named("ms-no-secret"),
        _ => {}
    }
    if field("client_id") != "the-app" {
        return no("invalid_client");
    }
    match field("grant_type").as_str() {
        "authorization_code" => {
            // A code is good once, whatever comes of it.
            let Some(asked) = state.codes.remove(&field("code")) else { return no("invalid_grant") };
            let hash = digest::digest(&digest::SHA256, field("code_verifier").as_bytes());
            let challenge = super::base64::encode(hash.as_ref()).replace('+', "-").replace('/', "_");
            let is_right = asked.get("code_challenge").is_some_and(|wanted| wanted == challenge.trim_end_matches('='))
                && asked.get("redirect_uri") == form.get("redirect_uri");
            if !is_right {
                return no("invalid_grant");
            }
            state.given += 1;
            let has_consent = asked.get("prompt").is_some_and(|prompt| prompt == "consent");
            let with_refresh = state.given > options.codes_without_refresh || has_consent;
            given(options, state, with_refresh.then_some(None))
        }
        "urn:ietf:params:oauth:grant-type:device_code" => match state.device_answers.pop_front() {
            Some(error) => no(error),
            None if field("device_code") == "DEVICE-1" => given(options, state, Some(None)),
            None => no("invalid_grant"),
        },
        "refresh_token" => {
            let shown = field("refresh_token");
            let Some(before) = state.refresh.get(&shown).cloned() else { return no("invalid_grant") };
            match options.rotation {
                Rotation::Keep => return given(options, state, None),
                // Whoever uses it has it: the one before is over.
                Rotation::Lenient => _ = before.and_then(|before| state.refresh.remove(&before)),
                Rotation::Strict => _ = state.refresh.remove(&shown),
            }
            given(options, state, Some(Some(shown)))
        }
        "client_credentials" if options.secret.is_some() => given(options, state, None),
        _ => no("unsupported_grant_type"),
    }
}

/// What a service account signed (RFC 7523), if it is right: it is about the user's mailbox, and for this server.
fn signed(form: &Form, options: &OauthOptions, port: u16) -> Option<serde_json::Value> {
    let key = options.key.as_ref()?;
    let assertion = form.get("assertion")?;
    let (said, signature) = assertion.rsplit_once('.')?;
    let unpadded = |text: &str| super::base64::decode(&padded(text));
    let key = signature::UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, key);
    key.verify(said.as_bytes(), &unpadded(signature)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&unpadded(said.split_once('.')?.1)?).ok()?;
    let is_for_us = claims["aud"] == format!("http://127.0.0.1:{port}/token");
    let lasts = claims["exp"].as_i64()? - claims["iat"].as_i64()?;
    (is_for_us && claims["sub"] == options.user.as_str() && lasts <= 3600).then_some(claims)
}

fn padded(text: &str) -> String {
    let text = text.replace('-', "+").replace('_', "/");
    let pad = (4 - text.len() % 4) % 4;
    text + &"=".repeat(pad)
}

/// `refresh`: a refresh token comes, too, and of which one.
fn given(options: &OauthOptions, state: &mut State, refresh: Option<Option<String>>) -> (u16, String) {
    let number = state.asked.len();
    let access = format!("ACCESS-{number}-{}", "x".repeat(40));
    state.access.push(access.clone());
    let mut fields = vec![format!(r#""access_token":"{access}""#), r#""token_type":"Bearer""#.to_owned()];
    fields.extend(options.ends_in.map(|seconds| format!(r#""refresh_token_expires_in":{seconds}"#)));
    fields.extend(options.expires_in.map(|seconds| format!(r#""expires_in":{seconds}"#)));
    if let Some(of) = refresh {
        let token = format!("REFRESH-{number}-{}", "y".repeat(40));
        state.last = Some(token.clone());
        fields.push(format!(r#""refresh_token":"{token}""#));
        state.refresh.insert(token, of);
    }
    (200, format!("{{{}}}", fields.join(",")))
}
