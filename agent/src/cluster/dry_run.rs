//! Sends an object to the API server as a dry run, and returns its warnings.

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

/// What the API server accepted in a dry run.
pub struct DryRun {
    pub warnings: Vec<String>,
    /// The generation that the object would have. A write that changes nothing keeps it.
    pub generation: Option<i64>,
}

/// Applies an object without storing it. Fields that the kind does not have are refused.
///
/// # Errors
/// The API server's refusal, by [`error::to_object_fault`].
pub async fn dry_run(access: &Access, object: &ResolvedObject) -> Result<DryRun, Fault> {
    let api = access.api(object).await?;
    let accepted = send(access, &api, &object.manifest).await;
    accepted.map_err(|error| error::to_object_fault(&object.key(), &error))
}

/// Does by hand what [`Api::patch`] does, because that does not return the headers.
async fn send(
    access: &Access,
    api: &Api<DynamicObject>,
    manifest: &Object,
) -> Result<DryRun, Error> {
    let params = PatchParams::apply(FIELD_MANAGER).force().dry_run().validation_strict();
    let request = Request::new(api.resource_url());
    let request = request.patch(manifest.name(), &params, &Patch::Apply(manifest));
    let request = request.map_err(Error::BuildRequest)?.map(Body::from);
    let (head, body) = access.client.send(request).await?.into_parts();
    let body = body.collect_bytes().await?;
    if !head.status.is_success() {
        return Err(Error::Api(Box::new(read_status(&body, head.status.as_u16()))));
    }
    // Something else than an API server may answer 200, too.
    let object: DynamicObject = serde_json::from_slice(&body).map_err(Error::SerdeError)?;
    Ok(DryRun { warnings: warnings(&head.headers), generation: object.metadata.generation })
}

fn read_status(body: &[u8], code: u16) -> Status {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let message = String::from_utf8_lossy(body);
        Status::failure(message.trim(), "no status").with_code(code)
    })
}

fn warnings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(WARNING).iter();
    values.filter_map(|value| unquote(&String::from_utf8_lossy(value.as_bytes()))).collect()
}

/// Returns the text of a warning header: `299 - "text"`.
fn unquote(warning: &str) -> Option<String> {
    let (_, quoted) = warning.split_once('"')?;
    let mut text = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text).filter(|text| !text.is_empty()),
            '\\' => text.push(chars.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_the_text_in_quotes() {
        let table = [
            (r#"299 - "v1 Endpoints is deprecated""#, Some("v1 Endpoints is deprecated")),
            (r#"299 - "a \"b\" \\ c" "Wed, 21 Oct 2026""#, Some(r#"a "b" \ c"#)),
            (r#"299 - "cut"#, None),
            (r#"299 - """#, None),
            ("299", None),
        ];
        for (header, expected) in table {
            assert_eq!(unquote(header).as_deref(), expected, "{header}");
        }
    }
}
