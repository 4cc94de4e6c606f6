//! Waits until a definition is established.

use std::time::Duration;

use lifecycle::health::{HealthStatus, assess};
use lifecycle::{Fault, Reason};
use tokio::time::{Instant, sleep};

use crate::cluster::access::Access;
use crate::cluster::error;
use crate::cluster::living::to_object;
use crate::cluster::resolved::ResolvedObject;

/// The API server serves a new definition within a second or two.
const TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until objects of a definition can be written.
///
/// # Errors
/// `ObjectRefused` if the API server does not accept its names; a transient fault after [`TIMEOUT`].
pub async fn wait(access: &Access, object: &ResolvedObject) -> Result<(), Fault> {
    let (api, key) = (access.api(object).await?, object.key());
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        let living = api.get(object.name()).await.map_err(|e| error::to_object_fault(&key, &e))?;
        let health = assess(&to_object(living), Duration::ZERO);
        match health.status {
            HealthStatus::Current => return Ok(()),
            HealthStatus::Failed => {
                let message = format!("{key}: {}", health.message);
                return Err(Fault::new(Reason::ObjectRefused, message));
            }
            HealthStatus::InProgress
            | HealthStatus::Terminating
            | HealthStatus::NotFound
            | HealthStatus::Unknown => sleep(POLL_INTERVAL).await,
        }
    }
    Err(Fault::transient(Reason::ApplyFailed, format!("{key} is not established yet")))
}
