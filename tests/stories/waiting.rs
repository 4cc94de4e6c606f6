//! What a rollout waits for: a maintenance window.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use lifecycle::{OperationResult, Phase};
use serde_json::{Value, json};

use testbed::bundle::{Bundle, Spec};
use testbed::{AddOn, brief};

use crate::harness::Bed;

fn spec(name: &str, version: &str) -> Spec {
    let bundle = Bundle::new().namespace(name).config("v", version);
    Spec::inline(version, &bundle).namespace(name)
}

/// In twelve hours, by the clocks of Tokyo, and when that is in UTC.
fn closed() -> Result<(Value, Timestamp)> {
    let opens = Timestamp::now().saturating_add(SignedDuration::from_hours(12))?;
    let opens = opens.in_tz("Asia/Tokyo")?.with().second(0).subsec_nanosecond(0).build()?;
    let schedule = format!("{} {} * * *", opens.minute(), opens.hour());
    let windows = json!([{"schedule": schedule, "duration": "1h", "timeZone": "Asia/Tokyo"}]);
    Ok((windows, opens.timestamp()))
}

pub async fn outside_its_windows_nothing_new_starts(bed: &Bed) -> Result<()> {
    let add_on = bed.managed().await?.add_on("windows");
    let (windows, opens) = closed()?;
    let within = |version| spec("windows", version).policy("windows", windows.clone());
    add_on.assign(&within("1.0.0")).await?;
    waits_until(&add_on, opens).await?;
    ensure!(add_on.config("windows", "v").await?.is_none(), "installed outside its window");
    add_on.annotate("ignore-windows", Some("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.annotate("ignore-windows", None).await?;

    add_on.assign(&within("1.1.0")).await?;
    waits_until(&add_on, opens).await?;
    ensure!(add_on.config("windows", "v").await?.as_deref() == Some("1.0.0"));
    add_on.assign(&spec("windows", "1.1.0")).await?;
    add_on.until_available("1.1.0").await?;

    // A rollback that is asked for is a change like any other; a removal is none.
    add_on.assign(&within("1.0.0")).await?;
    waits_until(&add_on, opens).await?;
    add_on.delete().await?;
    add_on.until_gone().await
}

async fn waits_until(add_on: &AddOn, opens: Timestamp) -> Result<()> {
    let status = add_on.until_phase(Phase::Waiting).await?;
    ensure!(status.reason.as_deref() == Some("OutsideWindow"), "{}", brief(&status));
    ensure!(status.result == Some(OperationResult::InProgress), "{}", brief(&status));
    let message = status.message.as_deref().context("no message")?;
    ensure!(message.contains(&format!("opens at {opens} (")), "{message}");
    ensure!(message.contains("in Asia/Tokyo"), "{message}");
    Ok(())
}
