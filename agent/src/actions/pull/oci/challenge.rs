//! The authentication that a registry requires, from the `WWW-Authenticate` headers of its 401 response.

use http_auth::ChallengeParser;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How a registry wants requests to be authenticated.
#[derive(Debug, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    Bearer(Bearer),
}

/// A token has to be fetched from the token server `realm` first.
#[derive(Debug, PartialEq, Eq)]
pub struct Bearer {
    pub realm: String,
    pub service: Option<String>,
    pub scope: Option<String>,
}

impl Challenge {
    /// Returns the best known challenge. Bearer is preferred to Basic, because the password then goes to fewer servers.
    pub fn parse(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).into_iter().filter_map(|v| v.to_str().ok());
        let challenges: Vec<_> = values.flat_map(ChallengeParser::new).flatten().collect();
        challenges.iter().find_map(parse_bearer).map(Self::Bearer).or_else(|| {
            let is_basic = challenges.iter().any(|it| it.scheme.eq_ignore_ascii_case("basic"));
            is_basic.then_some(Self::Basic)
        })
    }
}

fn parse_bearer(challenge: &http_auth::ChallengeRef<'_>) -> Option<Bearer> {
    if !challenge.scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let param = |expected: &str| {
        let mut params = challenge.params.iter();
        let (_, value) = params.find(|(name, _)| name.eq_ignore_ascii_case(expected))?;
        Some(value.to_unescaped())
    };
    let (realm, service, scope) = (param("realm")?, param("service"), param("scope"));
    Some(Bearer { realm, service, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().expect("a header"));
        }
        Challenge::parse(&headers)
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let token = Bearer {
            realm: "https://auth.example.com/token".into(),
            service: Some("registry.example.com".into()),
            scope: Some("repository:a/b:pull".into()),
        };
        let bearer = r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull""#;
        assert_eq!(parse(&[bearer]), Some(Challenge::Bearer(token)));
        let realm_only = || {
            let realm = "https://a/".to_owned();
            Some(Challenge::Bearer(Bearer { realm, service: None, scope: None }))
        };
        assert_eq!(parse(&[r#"Basic realm="x""#, r#"bearer REALM="https://a/""#]), realm_only());
        assert_eq!(parse(&[r#"Basic realm="x", Bearer realm="https://a/""#]), realm_only());
        assert_eq!(parse(&[r#"BASIC realm="x""#]), Some(Challenge::Basic));
    }

    #[test]
    fn an_unknown_challenge_is_none() {
        for values in [&[] as &[&str], &["Negotiate"], &["Bearer service=\"no realm\""], &["=,="]] {
            assert_eq!(parse(values), None, "{values:?}");
        }
    }
}
