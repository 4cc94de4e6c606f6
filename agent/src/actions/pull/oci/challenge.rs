//! How a registry wants to be asked, as the 401 says that it answers with.

use http_auth::ChallengeParser;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

#[derive(Debug, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    Bearer(Bearer),
}

/// A token is to be fetched from `realm` first.
#[derive(Debug, PartialEq, Eq)]
pub struct Bearer {
    pub realm: String,
    pub service: Option<String>,
    pub scope: Option<String>,
}

impl Challenge {
    /// The best one that is known here: with a token, the password goes to fewer servers.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).into_iter().filter_map(|v| v.to_str().ok());
        let known: Vec<_> = values.flat_map(ChallengeParser::new).flatten().collect();
        known.iter().find_map(bearer).map(Self::Bearer).or_else(|| {
            let is_basic = known.iter().any(|it| it.scheme.eq_ignore_ascii_case("basic"));
            is_basic.then_some(Self::Basic)
        })
    }
}

fn bearer(challenge: &http_auth::ChallengeRef<'_>) -> Option<Bearer> {
    if !challenge.scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let param = |wanted: &str| {
        let mut params = challenge.params.iter();
        let (_, value) = params.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some(value.to_unescaped())
    };
    let (realm, service, scope) = (param("realm")?, param("service"), param("scope"));
    Some(Bearer { realm, service, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().expect("a header"));
        }
        Challenge::read(&headers)
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let token = Bearer {
            realm: "https://auth.example.com/token".into(),
            service: Some("registry.example.com".into()),
            scope: Some("repository:a/b:pull".into()),
        };
        let bearer = r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull""#;
        assert_eq!(read(&[bearer]), Some(Challenge::Bearer(token)));
        let alone = || {
            let realm = "https://a/".to_owned();
            Some(Challenge::Bearer(Bearer { realm, service: None, scope: None }))
        };
        assert_eq!(read(&[r#"Basic realm="x""#, r#"bearer REALM="https://a/""#]), alone());
        assert_eq!(read(&[r#"Basic realm="x", Bearer realm="https://a/""#]), alone());
        assert_eq!(read(&[r#"BASIC realm="x""#]), Some(Challenge::Basic));
    }

    #[test]
    fn what_is_not_understood_is_none() {
        for values in [&[] as &[&str], &["Negotiate"], &["Bearer service=\"no realm\""], &["=,="]] {
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
