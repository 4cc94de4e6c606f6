//! Tries a write of an object at the API server without storing anything, and returns its warnings.

use std::fmt::Debug;

use http::HeaderMap;
use http::header::WARNING;
use kube::Error;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::{DynamicObject, Request, Status};
use lifecycle::managed_fields::merge_patch;
use lifecycle::names::FIELD_MANAGER;
use lifecycle::plan::replacement::is_replaceable;
use lifecycle::{Fault, Object, Reason};
use serde::Serialize;

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::LivingObject;
use crate::cluster::obsolete_fields;
use crate::cluster::resolved::ResolvedObject;

/// What the API server accepted in a dry run.
pub struct DryRun {
    pub warnings: Vec<String>,
    /// The generation that the object would have. A write that changes nothing keeps it.
    pub generation: Option<i64>,
    /// The write deletes the object and creates it.
    pub is_replacement: bool,
}

/// Tries the write of an object as `apply` would do it: a server-side apply, else one that also removes
/// [obsolete fields](obsolete_fields), else a replacement. Fields that the kind does not have are refused.
///
/// # Errors
/// The API server's refusal, by [`error::to_object_fault`].
pub async fn dry_run(
    access: &Access,
    object: &ResolvedObject,
    living: Option<&LivingObject>,
) -> Result<DryRun, Fault> {
    let api = access.api(object).await?;
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = send(access, &api, object, params, &Patch::Apply(&object.manifest)).await;
    let (mut error, living) = match (applied, living) {
        (Ok(accepted), _) => return Ok(accepted),
        (Err(error), Some(living)) if error::is_invalid(&error) => (error, living),
        (Err(error), _) => return Err(error::to_object_fault(&object.key(), &error)),
    };
    match without_obsolete(access, object, living, &error).await? {
        Some(Ok(accepted)) => return Ok(accepted),
        Some(Err(refusal)) => error = refusal,
        None => {}
    }
    let fault = error::to_object_fault(&object.key(), &error);
    if fault.reason != Reason::ImmutableField || !is_replaceable(&object.manifest) {
        return Err(fault);
    }
    ensure_creatable(access, object, &object.manifest).await?;
    Ok(DryRun { warnings: Vec::new(), generation: None, is_replacement: true })
}

/// Tries to create an object of a name that exists. The API server validates and admits it before it looks for the name.
///
/// # Errors
/// The refusal of the new object.
pub async fn ensure_creatable(
    access: &Access,
    object: &ResolvedObject,
    manifest: &Object,
) -> Result<(), Fault> {
    let refused = |error: &Error| Err(error::to_object_fault(&object.key(), error));
    let created: DynamicObject = match serde_json::from_value(manifest.0.clone()) {
        Ok(created) => created,
        Err(error) => return refused(&Error::SerdeError(error)),
    };
    let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
    match access.api(object).await?.create(&params, &created).await {
        Err(error) if !error::is_conflict(&error) => refused(&error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Tries the form that an apply without the obsolete fields leads to. No dry run of an apply can try it, since the ownership
/// of the fields has to change before. `None` if nothing is obsolete.
async fn without_obsolete(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
    refusal: &Error,
) -> Result<Option<Result<DryRun, Error>>, Fault> {
    let manifest = &object.manifest;
    let duplicates = error::duplicates(refusal);
    let obsolete = obsolete_fields::find(access, object, manifest, living, &duplicates).await?;
    let Some(content) = living.content().filter(|_| !obsolete.is_empty()) else { return Ok(None) };
    let patch = Patch::Merge(merge_patch(content, manifest, living.managed_fields(), &obsolete));
    let manager = Some(FIELD_MANAGER.to_owned());
    let params = PatchParams { field_manager: manager, ..PatchParams::default() };
    Ok(Some(send(access, &access.api(object).await?, object, params, &patch).await))
}

/// Does by hand what [`Api::patch`] does, because that does not return the headers.
async fn send(
    access: &Access,
    api: &Api<DynamicObject>,
    object: &ResolvedObject,
    params: PatchParams,
    patch: &Patch<impl Serialize + Debug>,
) -> Result<DryRun, Error> {
    let request = Request::new(api.resource_url());
    let request = request.patch(object.name(), &params.dry_run().validation_strict(), patch);
    let request = request.map_err(Error::BuildRequest)?.map(Body::from);
    let (head, body) = access.client.send(request).await?.into_parts();
    let body = body.collect_bytes().await?;
    if !head.status.is_success() {
        return Err(Error::Api(Box::new(read_status(&body, head.status.as_u16()))));
    }
    // Something else than an API server may answer 200, too.
    let object: DynamicObject = serde_json::from_slice(&body).map_err(Error::SerdeError)?;
    let (warnings, generation) = (warnings(&head.headers), object.metadata.generation);
    Ok(DryRun { warnings, generation, is_replacement: false })
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
