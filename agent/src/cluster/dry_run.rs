//! Tries an object against the API server without writing it, and hears what that warns of.

use http::HeaderMap;
use http::header::WARNING;
use kube::Error;
use kube::api::{Api, Patch, PatchParams};
use kube::client::Body;
use kube::core::{DynamicObject, Request, Status};
use lifecycle::names::FIELD_MANAGER;
use lifecycle::{Fault, Object};

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// Returns the API server's warnings.
pub async fn dry_run(access: &Access<'_>, placed: &ResolvedObject) -> Result<Vec<String>, Fault> {
    let (_, api) = access.api(placed).await?;
    match tried(access, &api, &placed.object).await {
        Ok(head) => Ok(warnings(&head)),
        Err(error) => Err(error::to_object_fault(&placed.object.key(), &error)),
    }
}

/// As the client's own call, which keeps the answer's head to itself.
async fn tried(
    access: &Access<'_>,
    api: &Api<DynamicObject>,
    object: &Object,
) -> Result<HeaderMap, Error> {
    let params = PatchParams::apply(FIELD_MANAGER).force().dry_run().validation_strict();
    let request = Request::new(api.resource_url());
    let request = request.patch(object.name(), &params, &Patch::Apply(object));
    let request = request.map_err(Error::BuildRequest)?;
    let (head, body) = access.client.send(request.map(Body::from)).await?.into_parts();
    let body = body.collect_bytes().await?;
    if head.status.is_success() {
        // Not everything on the way that says 200 is an API server.
        let answered = serde_json::from_slice::<DynamicObject>(&body);
        return answered.map(|_| head.headers).map_err(Error::SerdeError);
    }
    let said = serde_json::from_slice(&body).unwrap_or_else(|_| {
        let words = String::from_utf8_lossy(&body);
        Status::failure(words.trim(), "no status").with_code(head.status.as_u16())
    });
    Err(Error::Api(Box::new(said)))
}

fn warnings(head: &HeaderMap) -> Vec<String> {
    let values = head.get_all(WARNING).iter();
    values.filter_map(|value| words(&String::from_utf8_lossy(value.as_bytes()))).collect()
}

/// Of `299 - "words"`.
fn words(warning: &str) -> Option<String> {
    let (_, quoted) = warning.split_once('"')?;
    let mut words = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some(words).filter(|words| !words.is_empty()),
            '\\' => words.push(chars.next()?),
            other => words.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_what_stands_in_quotes() {
        let table = [
            (r#"299 - "v1 Endpoints is deprecated""#, Some("v1 Endpoints is deprecated")),
            (r#"299 - "a \"b\" \\ c" "Wed, 21 Oct 2026""#, Some(r#"a "b" \ c"#)),
            (r#"299 - "cut"#, None),
            (r#"299 - """#, None),
            ("299", None),
        ];
        for (header, expected) in table {
            assert_eq!(words(header).as_deref(), expected, "{header}");
        }
    }
}
