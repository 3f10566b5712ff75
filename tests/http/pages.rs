//! Pages for people: the identity provider, a database that is unavailable, and what is wrong with a request. What people do on
//! them is in `tests/people/pages`.

use memgate::adapters::http::AnswerBudget;
use memgate::domain::people::PersonRepository as _;
use memgate_domain::testing::{FakeIdentityProvider, person};
use memgate_test_kit::page::Page;
use poem::Request;
use poem::http::Method;

use super::face::{Answer, CHALLENGE, FORM, Face, PUBLIC_URL, Parts, request};

const CONNECTIONS: &str = "/account/connections";
const START: &str = "/auth/sign-in/provider?return_to=%2Faccount%2Fconnections";

impl Answer {
    /// The page that this is, which must be of this status.
    #[track_caller]
    fn page(&self, status: u16) -> Page {
        let page = Page(String::from_utf8(self.body.clone()).unwrap());
        assert_eq!(self.status, status, "{}", page.0);
        assert_eq!(self.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("x-frame-options"), Some("DENY"));
        page.assert_sound();
        page
    }

    #[track_caller]
    fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", String::from_utf8_lossy(&self.body));
        self.header("location").unwrap()
    }

    /// The cookies that are kept from now on, as a request brings them.
    fn cookies(&self) -> String {
        let set = self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let kept = set.filter(|cookie| !cookie.contains("Max-Age=0")).map(|cookie| cookie.split(';').next().unwrap());
        kept.collect::<Vec<_>>().join("; ")
    }
}

async fn get(face: &Face, path: &str, cookies: &str) -> Answer {
    face.send(request(Method::GET, path).header("cookie", cookies).finish()).await
}

fn form(path: &str, cookies: &str, fields: &[(&str, &str)]) -> Request {
    let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request(Method::POST, path).header("cookie", cookies).content_type(FORM).body(body)
}

/// The state with which the browser was sent to the provider.
fn state(start: &Answer) -> String {
    let location = start.location();
    assert!(location.starts_with(&format!("{}/authorize?", FakeIdentityProvider::ISSUER)), "{location}");
    location.split_once("state=").unwrap().1.to_owned()
}

#[tokio::test]
async fn who_comes_back_from_the_identity_provider_gets_to_the_page_they_wanted() {
    let face = Face::new();
    face.provider.know("248289761001", Some("marta@example.com"));
    let asked = get(&face, CONNECTIONS, "").await;
    let page = asked.page(200);
    assert!(page.says("Continue with Example ID or with a password"), "{}", page.text());
    assert!(page.0.contains(&format!(r#"href="{START}""#)), "{}", page.0);

    let start = get(&face, START, &asked.cookies()).await;
    let callback = format!("/auth/callback?code=248289761001&state={}", state(&start));
    let back = get(&face, &callback, &start.cookies()).await;
    assert_eq!(back.location(), CONNECTIONS);
    assert!(back.cookies().starts_with("__Host-memgate-session=") && !back.cookies().contains(';'));
    assert!(get(&face, CONNECTIONS, &back.cookies()).await.page(200).says("the memories of marta@example.com"));
}

#[tokio::test(start_paused = true)]
async fn exports_that_nobody_reads_are_bounded() {
    let answers = AnswerBudget::new(4 << 20, 64 << 20);
    let face = Face::of(Parts { answers, ..Parts::default() });
    face.provider.know("1", Some("marta@example.com"));
    let start = get(&face, START, "").await;
    let back = get(&face, &format!("/auth/callback?code=1&state={}", state(&start)), &start.cookies()).await;
    for path in ["/account/export/memories.jsonl", "/account/export/memgate.zip"] {
        let unread = face.unread(request(Method::GET, path).header("cookie", back.cookies()).finish()).await;
        assert_eq!(unread.status(), 200);
        get(&face, path, &back.cookies()).await.page(503);
        drop(unread);
        assert_eq!(get(&face, path, &back.cookies()).await.status, 200);
    }
}

#[tokio::test]
async fn an_applications_request_survives_the_way_to_the_provider_and_back() {
    let face = Face::new();
    face.provider.know("1", Some("marta@example.com"));
    let wanted = "/auth/authorize?client_id=a%26b&state=%0D%0A;x=y,\"z\"";
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", wanted).finish();
    let start = get(&face, &format!("/auth/sign-in/provider?{query}"), "").await;
    let back = get(&face, &format!("/auth/callback?code=1&state={}", state(&start)), &start.cookies()).await;
    // What may not stand in a cookie is escaped, which means the same.
    assert_eq!(back.location(), "/auth/authorize?client_id=a%26b&state=%0D%0A%3Bx=y%2C%22z%22");
}

/// The request of the application with this `state`.
fn authorization(face: &Face, state: &str) -> String {
    let parameters = [
        ("response_type", "code"),
        ("client_id", face.application.client_id.as_str()),
        ("redirect_uri", "https://client.example/callback"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", state),
    ];
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("/auth/authorize?{query}")
}

#[tokio::test]
async fn a_long_state_survives_both_ways_of_signing_in_and_one_beyond_the_limit_neither() {
    let face = Face::new();
    let person = person();
    face.people.create(&person).await.unwrap();
    face.provider.know("1", Some("marta@example.com"));
    let by_password = async |asked: &Answer, return_to: &str| {
        let form_token = asked.page(200).hidden("form_token");
        let login = [("login", person.label()), ("password", "correct horse")];
        let fields = [&[("form_token", &*form_token), ("return_to", return_to)], &login[..]].concat();
        face.send(form("/auth/sign-in", &asked.cookies(), &fields)).await
    };
    let with_provider = async |asked: &Answer, way: &str| {
        let start = get(&face, way, &asked.cookies()).await;
        get(&face, &format!("/auth/callback?code=1&state={}", state(&start)), &start.cookies()).await
    };
    // The limit is that of the query.
    let longest = 8_000 + "/auth/authorize?".len() - authorization(&face, "").len();
    for length in [2_700, 7_500, longest] {
        let sent = "s".repeat(length);
        let request = authorization(&face, &sent);
        let asked = get(&face, &request, "").await;
        let page = asked.page(200);
        let (_, way) = page.0.split_once(r#"href="/auth/sign-in/provider?"#).unwrap();
        let way = format!("/auth/sign-in/provider?{}", way.split('"').next().unwrap());
        for signed_in in [by_password(&asked, &page.hidden("return_to")).await, with_provider(&asked, &way).await] {
            assert_eq!(signed_in.location(), request);
            let page = get(&face, &request, &signed_in.cookies()).await.page(200);
            let (form_token, return_to) = (page.hidden("form_token"), page.hidden("return_to"));
            let fields = [("form_token", &*form_token), ("return_to", &*return_to), ("decision", "allow")];
            let answer = face.send(form("/auth/consent", &signed_in.cookies(), &fields)).await;
            let location = url::Url::parse(answer.location()).unwrap();
            let received = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
            assert_eq!(received, sent, "{length}");
        }
    }

    let request = authorization(&face, &"s".repeat(longest + 1));
    assert!(get(&face, &request, "").await.page(400).says("too long"));
    // Nor does it get there past that page.
    let asked = get(&face, "/auth/sign-in", "").await;
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", &request).finish();
    for signed_in in
        [by_password(&asked, &request).await, with_provider(&asked, &format!("/auth/sign-in/provider?{query}")).await]
    {
        assert_eq!(signed_in.location(), "/account");
        assert!(get(&face, &request, &signed_in.cookies()).await.page(400).says("too long"));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_belong_to_this_browsers_attempt_signs_nobody_in() {
    let face = Face::new();
    face.provider.know("1", Some("marta@example.com"));
    let (ours, theirs) = (get(&face, START, "").await, get(&face, START, "").await);
    for (callback, cookies) in [
        (format!("/auth/callback?code=1&state={}", state(&theirs)), ours.cookies()),
        (format!("/auth/callback?code=1&state={}", state(&ours)), String::new()),
        (format!("/auth/callback?code=1&state={}x", state(&ours)), ours.cookies()),
        ("/auth/callback?code=1".to_owned(), ours.cookies()),
        ("/auth/callback".to_owned(), ours.cookies()),
    ] {
        let answer = get(&face, &callback, &cookies).await;
        assert!(answer.page(403).says("Nobody was signed in."), "{callback}");
        assert!(!answer.cookies().contains("memgate-session"));
    }
}

#[tokio::test]
async fn an_answer_is_good_for_one_sign_in() {
    let face = Face::new();
    face.provider.know("1", Some("marta@example.com"));
    let start = get(&face, START, "").await;
    let callback = format!("/auth/callback?code=1&state={}", state(&start));
    let back = get(&face, &callback, &start.cookies()).await;
    // The browser has forgotten the attempt.
    get(&face, &callback, &back.cookies()).await.page(403);
}

#[tokio::test]
async fn why_the_provider_signed_nobody_in_is_put_in_plain_words() {
    let face = Face::new();
    face.provider.know("stranger", Some("eve@elsewhere.example"));
    face.provider.know("unverified", None);
    for (parameters, status, says) in [
        ("code=stranger", 403, "This account may not be used here."),
        ("code=unverified", 403, "This account may not be used here."),
        ("code=unknown", 502, "did not confirm who you are"),
        ("error=access_denied", 403, "You were not signed in."),
        ("error=server_error&code=stranger", 403, "You were not signed in."),
    ] {
        let start = get(&face, START, "").await;
        let callback = format!("/auth/callback?{parameters}&state={}", state(&start));
        let answer = get(&face, &callback, &start.cookies()).await;
        assert!(answer.page(status).says(says), "{parameters}");
        assert!(answer.page(status).0.contains(r#"role="alert""#));
        assert!(!answer.cookies().contains("memgate-session"));
    }
}

#[tokio::test]
async fn a_provider_that_is_unavailable_is_a_page_that_says_to_try_again() {
    let face = Face::new();
    face.provider.set_unavailable(true);
    let answer = get(&face, START, "").await;
    assert!(answer.page(503).says("does not respond"));
    assert_eq!(answer.header("retry-after"), Some("2"));
}

#[tokio::test]
async fn the_way_to_the_provider_is_not_begun_from_another_site_nor_leads_to_one() {
    let face = Face::new();
    let foreign = request(Method::GET, START).header("sec-fetch-site", "cross-site").finish();
    assert!(face.send(foreign).await.page(403).says("Start again"));

    face.provider.know("1", Some("marta@example.com"));
    let start = get(&face, "/auth/sign-in/provider?return_to=https%3A%2F%2Fevil.example%2F", "").await;
    let callback = format!("/auth/callback?code=1&state={}", state(&start));
    assert_eq!(get(&face, &callback, &start.cookies()).await.location(), "/account");
    // What was put into the cookie by somebody else is looked at again.
    let provider = start.cookies().split("; ").next().unwrap().to_owned();
    let planted = format!("{provider}; __Host-memgate-return-to=aHR0cHM6Ly9ldmlsLmV4YW1wbGUv");
    assert_eq!(get(&face, &callback, &planted).await.location(), "/account");

    for length in [3000, 7900] {
        let request = format!("/auth/authorize?{}", "x".repeat(length));
        let start = get(&face, &format!("/auth/sign-in/provider?return_to={request}"), "").await;
        let callback = format!("/auth/callback?code=1&state={}", state(&start));
        assert_eq!(
            get(&face, &callback, &start.cookies()).await.location(),
            request,
            "one limit for both ways to sign in"
        );
    }
}

#[tokio::test]
async fn the_password_form_stays_good_while_the_provider_is_asked() {
    let face = Face::new();
    let person = person();
    face.people.create(&person).await.unwrap();
    let asked = get(&face, CONNECTIONS, "").await;
    let start = get(&face, START, &asked.cookies()).await;
    let cookies = format!("{}; {}", asked.cookies(), start.cookies());
    let token = asked.page(200).hidden("form_token");
    let fields = [("form_token", &*token), ("login", person.label()), ("password", "correct horse")];
    let answer = face.send(form("/auth/sign-in", &cookies, &fields)).await;
    assert_eq!(answer.location(), "/account");
}

#[tokio::test]
async fn a_database_that_is_unavailable_is_a_page_that_says_to_try_again() {
    let face = Face::new();
    let asked = get(&face, CONNECTIONS, "").await;
    let token = asked.page(200).hidden("form_token");
    let session = format!("__Host-memgate-session={}", "A".repeat(43));
    let fields = [("form_token", &*token), ("login", "marta"), ("password", "correct horse")];
    face.people.outage().begin();
    face.sessions_outage.begin();
    face.applications_outage.begin();
    let answers = [
        get(&face, CONNECTIONS, &session).await,
        get(&face, "/auth/authorize?client_id=67e55044-10b1-426f-9247-bb680e5fe0c8", "").await,
        face.send(form("/auth/sign-in", &asked.cookies(), &fields)).await,
    ];
    for answer in answers {
        let page = answer.page(503);
        assert!(page.says("Temporarily unavailable") && page.says(answer.header("x-request-id").unwrap()));
        assert_eq!(answer.header("retry-after"), Some("2"));
        assert_eq!(answer.cookies(), "");
    }
    // Who has no session needs no database to be asked.
    get(&face, CONNECTIONS, "").await.page(200);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_a_page_too() {
    let face = Face::new();
    for (request, status, says) in [
        (request(Method::GET, "/account/x").finish(), 404, "Page not found"),
        (request(Method::GET, "/account/nowhere").finish(), 404, "Page not found"),
        (request(Method::GET, "/auth/sign-in/nowhere").finish(), 404, "Page not found"),
        (request(Method::GET, "/auth/consent").finish(), 405, "It belongs to a form."),
        (request(Method::DELETE, CONNECTIONS).finish(), 405, "It belongs to a form."),
        (request(Method::GET, "/auth/authorize?client_secret=x").finish(), 400, "could not be read"),
        (
            request(Method::GET, "/auth/authorize?access_token=x&token=y").finish(),
            400,
            "does not say which application",
        ),
        (request(Method::POST, "/auth/sign-in").content_type("text/plain").body("a=1"), 400, "could not be read"),
        (request(Method::POST, "/auth/sign-out").content_type(FORM).body("a=1&a=2"), 400, "could not be read"),
        (request(Method::POST, "/auth/sign-out").content_type(FORM).body("a=\u{0}\u{ff}"), 400, "could not be read"),
        (request(Method::POST, "/auth/consent").content_type(FORM).body(vec![0xff]), 400, "could not be read"),
        (request(Method::POST, "/auth/consent").content_type(FORM).body("x".repeat(600_000)), 413, "could not be read"),
        (request(Method::POST, "/auth/authorize").content_type(FORM).body("x".repeat(8001)), 400, "too long"),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = face.send(request).await;
        assert!(answer.page(status).says(says), "{what}: {}", answer.page(status).text());
        assert!(answer.page(status).says(answer.header("x-request-id").unwrap()));
        assert_eq!(answer.cookies(), "");
    }
    let answer = face.send(request(Method::GET, "/auth/consent").finish()).await;
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn the_stylesheet_and_the_icon_may_be_kept_for_ever_and_are_named_after_what_is_in_them() {
    let face = Face::new();
    let page = get(&face, "/privacy", "").await.page(200);
    for (content_type, beginning) in [("text/css; charset=utf-8", "/assets/style-"), ("image/svg+xml", "/assets/icon-")]
    {
        let (_, rest) = page.0.split_once(&format!(r#"href="{beginning}"#)).unwrap();
        let path = format!("{beginning}{}", rest.split('"').next().unwrap());
        let answer = get(&face, &path, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(get(&face, &path.replace('-', "-x"), "").await.status, 404);
    }
}

#[tokio::test]
async fn only_pages_that_no_application_opens_cut_the_tie_to_the_window_that_opened_them() {
    let face = Face::new();
    let policy = |answer: Answer| answer.header("cross-origin-opener-policy").map(str::to_owned);
    assert_eq!(policy(get(&face, "/privacy", "").await).as_deref(), Some("same-origin"));
    assert_eq!(policy(get(&face, "/auth/sign-in", "").await).as_deref(), Some("unsafe-none"));
}

#[tokio::test]
async fn the_address_by_which_the_browser_came_counts_as_ours_beside_the_public_one() {
    let face = Face::new();
    let asked = get(&face, CONNECTIONS, "").await;
    let token = asked.page(200).hidden("form_token");
    for (origin, host, status) in [
        (PUBLIC_URL, "inside:8080", 403),
        ("https://inside:8080", "inside:8080", 403),
        ("https://inside:8081", "inside:8080", 403),
    ] {
        let mut request =
            form("/auth/sign-in", &asked.cookies(), &[("form_token", &token), ("login", "x"), ("password", "x")]);
        request.headers_mut().insert("origin", origin.parse().unwrap());
        request.headers_mut().insert("host", host.parse().unwrap());
        let page = face.send(request).await.page(status);
        let names_the_setting = page.says("came from another address") && page.says("MEMGATE_PUBLIC_URL");
        assert_eq!(names_the_setting, origin == "https://inside:8081", "{origin}");
        assert_eq!(page.says("password is not right"), origin != "https://inside:8081", "{origin}");
    }
}
