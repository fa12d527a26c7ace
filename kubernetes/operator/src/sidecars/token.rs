//! Who asks: the API server is shown the token, and tells the pod that it is bound to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use kube::{Api, Client, api::PostParams};
use serde::Deserialize;
use squall_config::Chain;
use squall_orders::AUDIENCE;
use tokio::sync::Semaphore;

use super::answer::Refused;
use crate::fleet::Pod;

/// What the API server said of a token holds for so long, and never longer than the token: a pod that is deleted is told
/// nothing after a minute.
const HOLDS: Duration = Duration::from_secs(60);
/// Tokens are some kilobytes.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// More pods than a cluster is made for have a token each.
const TOKENS_MAX: usize = 20_000;
/// Questions to the API server at once; others wait for their turn.
const REVIEWS_MAX: usize = 32;
/// A question takes milliseconds.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// What a token that is bound to a pod says of it, besides the user.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Tokens, and what the API server said of them.
pub(crate) struct Tokens {
    api: Api<TokenReview>,
    known: Mutex<Known>,
    turns: Semaphore,
}

impl Tokens {
    /// Asks by this client.
    pub(crate) fn new(client: Client) -> Self {
        Self { api: Api::all(client), known: Mutex::default(), turns: Semaphore::new(REVIEWS_MAX) }
    }

    /// The pod whose token a request carries.
    pub(super) async fn pod(&self, headers: &HeaderMap) -> Result<Pod, Refused> {
        let token = bearer(headers)?;
        let digest = Digest::of(token);
        if let Some(pod) = self.known().get(&digest, Instant::now()) {
            return Ok(pod);
        }
        let status = self.review(token).await?;
        let pod = pod(status)?;
        let left = left(token, SystemTime::now()).map_or(HOLDS, |left| left.min(HOLDS));
        self.known().put(digest, pod.clone(), Instant::now(), left);
        Ok(pod)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, Refused> {
        const UNREACHABLE: &str = "the API server does not tell whose token this is";
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) },
            ..TokenReview::default()
        };
        let asked = async {
            let _turn = self.turns.acquire().await;
            self.api.create(&PostParams::default(), &review).await
        };
        match tokio::time::timeout(REVIEW_TIMEOUT, asked).await {
            Ok(Ok(review)) => review.status.ok_or_else(|| Refused::unavailable(UNREACHABLE)),
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "a token cannot be reviewed");
                Err(Refused::unavailable(UNREACHABLE))
            }
            Err(_elapsed) => Err(Refused::unavailable(UNREACHABLE)),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| Refused::unauthenticated("there is no token"))?;
    let token = value.to_str().ok().and_then(|value| value.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    token
        .filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES_MAX)
        .ok_or_else(|| Refused::unauthenticated("what stands in Authorization is no bearer token"))
}

/// The pod that the API server names.
fn pod(status: TokenReviewStatus) -> Result<Pod, Refused> {
    if status.authenticated != Some(true) {
        let why = status.error.filter(|why| !why.is_empty()).unwrap_or_else(|| "the token is not valid".to_owned());
        return Err(Refused::unauthenticated(why));
    }
    if !status.audiences.unwrap_or_default().iter().any(|audience| audience == AUDIENCE) {
        return Err(Refused::unauthenticated("the token is for somebody else"));
    }
    let UserInfo { username, extra, .. } = status.user.unwrap_or_default();
    let namespace = username.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:"));
    let namespace = namespace.and_then(|rest| rest.split_once(':')).map(|(namespace, _)| namespace.to_owned());
    let mut extra = extra.unwrap_or_default();
    let mut only = |key: &str| extra.remove(key).and_then(|values| values.into_iter().next());
    match (namespace, only(POD_NAME), only(POD_UID)) {
        (Some(namespace), Some(name), Some(uid)) if !uid.is_empty() => Ok(Pod { uid, namespace, name }),
        _ => Err(Refused::forbidden("the token is not that of a pod")),
    }
}

/// How long a token is still good by what it says itself, where that can be read. That it is genuine has been looked at.
fn left(token: &str, now: SystemTime) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Claims { exp } = serde_json::from_slice(&payload).ok()?;
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(exp))?;
    Some(end.duration_since(now).unwrap_or_default())
}

/// Of a token: nobody finds the token itself in the memory of a process that has dumped it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Digest([u8; 32]);

impl Digest {
    fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, digest)| *byte = *digest);
        Self(bytes)
    }
}

/// Tokens that are known, and until when.
#[derive(Default)]
struct Known(HashMap<Digest, (Pod, Instant)>);

impl Known {
    fn get(&self, digest: &Digest, now: Instant) -> Option<Pod> {
        self.0.get(digest).filter(|(_, until)| now < *until).map(|(pod, _)| pod.clone())
    }

    fn put(&mut self, digest: Digest, pod: Pod, now: Instant, holds: Duration) {
        if self.0.len() >= TOKENS_MAX {
            self.0.retain(|_, (_, until)| now < *until);
        }
        // Whoever finds no place is asked for again.
        if self.0.len() < TOKENS_MAX {
            self.0.insert(digest, (pod, now + holds));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::{HeaderValue, StatusCode};

    use super::*;

    fn said(extra: &[(&str, &str)], audiences: &[&str], username: &str) -> TokenReviewStatus {
        let extra: BTreeMap<String, Vec<String>> =
            extra.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect();
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(audiences.iter().map(|one| (*one).to_owned()).collect()),
            user: Some(UserInfo { username: Some(username.to_owned()), extra: Some(extra), ..UserInfo::default() }),
            error: None,
        }
    }

    #[test]
    fn only_a_pod_with_a_token_for_us_is_known() {
        let (user, ours) = ("system:serviceaccount:shop:default", &[AUDIENCE][..]);
        let bound = [(POD_NAME, "a-1"), (POD_UID, "u-1")];
        let known = pod(said(&bound, ours, user)).unwrap();
        assert_eq!(known, Pod { uid: "u-1".to_owned(), namespace: "shop".to_owned(), name: "a-1".to_owned() });
        for (status, code) in [
            (said(&bound, &[], user), StatusCode::UNAUTHORIZED),
            (said(&bound, &["https://kubernetes.default.svc"], user), StatusCode::UNAUTHORIZED),
            (TokenReviewStatus { authenticated: Some(false), ..said(&bound, ours, user) }, StatusCode::UNAUTHORIZED),
            (TokenReviewStatus::default(), StatusCode::UNAUTHORIZED),
            (said(&bound[..1], ours, user), StatusCode::FORBIDDEN),
            (said(&[], ours, user), StatusCode::FORBIDDEN),
            (said(&bound, ours, "alice"), StatusCode::FORBIDDEN),
        ] {
            assert_eq!(pod(status.clone()).unwrap_err().status, code, "{status:?}");
        }
    }

    #[test]
    fn what_is_no_bearer_token_is_refused() {
        let headers =
            |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
        assert_eq!(bearer(&headers("bearer abc")).unwrap(), "abc");
        let long = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        for wrong in ["Basic abc", "Bearer", "Bearer  ", "abc", &long] {
            assert_eq!(bearer(&headers(wrong)).unwrap_err().status, StatusCode::UNAUTHORIZED, "{wrong}");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
    }

    #[test]
    fn what_was_said_holds_a_minute_and_no_longer_than_the_token() {
        let token = |exp: u64| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#)));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(left(&token(1010), now), Some(Duration::from_secs(10)));
        assert_eq!(left(&token(900), now), Some(Duration::ZERO));
        assert_eq!((left("opaque", now), left("a.b.c", now)), (None, None));
        let (mut known, start) = (Known::default(), Instant::now());
        let pod = Pod { uid: "u".to_owned(), namespace: "n".to_owned(), name: "p".to_owned() };
        known.put(Digest::of("t"), pod.clone(), start, Duration::from_secs(10));
        assert_eq!(known.get(&Digest::of("t"), start + Duration::from_secs(9)), Some(pod.clone()));
        assert_eq!(known.get(&Digest::of("t"), start + Duration::from_secs(10)), None);
        for n in 0..TOKENS_MAX {
            known.put(Digest::of(&n.to_string()), pod.clone(), start, Duration::from_secs(10));
        }
        assert_eq!(known.0.len(), TOKENS_MAX);
        known.put(Digest::of("later"), pod.clone(), start + Duration::from_secs(20), HOLDS);
        assert_eq!(known.0.len(), 1, "those whose time is over make place");
    }
}
