//! Rollouts that wait: for a maintenance window or for another add-on.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use lifecycle::{ManagedAddOnStatus, OperationResult, Phase};
use serde_json::{Value, json};

use testbed::bundle::{Bundle, Spec};
use testbed::{AddOn, summarize};

use crate::harness::Shared;

fn spec(name: &str, version: &str) -> Spec {
    let bundle = Bundle::new().namespace(name).config("v", version);
    Spec::inline(version, &bundle).namespace(name)
}

/// Returns a daily window that opens in twelve hours, with its schedule in the time zone of Tokyo, and the time at which
/// it opens.
fn closed_windows() -> Result<(Value, Timestamp)> {
    let opens = Timestamp::now().saturating_add(SignedDuration::from_hours(12))?;
    let opens = opens.in_tz("Asia/Tokyo")?.with().second(0).subsec_nanosecond(0).build()?;
    let schedule = format!("{} {} * * *", opens.minute(), opens.hour());
    let windows = json!([{"schedule": schedule, "duration": "1h", "timeZone": "Asia/Tokyo"}]);
    Ok((windows, opens.timestamp()))
}

pub async fn outside_its_maintenance_windows_no_rollout_starts(shared: &Shared) -> Result<()> {
    let add_on = shared.managed().await?.add_on("windows");
    let (windows, opens) = closed_windows()?;
    let within = |version| spec("windows", version).policy("windows", windows.clone());
    add_on.assign(&within("1.0.0")).await?;
    expect_window(&add_on, opens).await?;
    ensure!(add_on.config("windows", "v").await?.is_none(), "installed outside its window");
    add_on.annotate("ignore-windows", Some("1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    add_on.annotate("ignore-windows", None).await?;

    add_on.assign(&within("1.1.0")).await?;
    expect_window(&add_on, opens).await?;
    ensure!(add_on.config("windows", "v").await?.as_deref() == Some("1.0.0"));
    add_on.assign(&spec("windows", "1.1.0")).await?;
    add_on.until_available("1.1.0").await?;

    // A requested rollback waits for a window like any other rollout; a removal does not.
    add_on.assign(&within("1.0.0")).await?;
    expect_window(&add_on, opens).await?;
    add_on.delete().await?;
    add_on.until_gone().await
}

pub async fn an_add_on_waits_for_its_requirement_and_guards_it(shared: &Shared) -> Result<()> {
    let managed = shared.managed().await?;
    let (base, shop) = (managed.add_on("needed"), managed.add_on("needing"));
    let needs = |versions| json!([{"addOn": "needed", "versions": versions}]);
    let two = spec("needing", "1.0.0").with("requires", needs(">=2, <3"));
    shop.assign(&two).await?;
    until_phase(
        &shop,
        Phase::Waiting,
        "RequirementNotMet",
        "needed >=2, <3, which is not on this cluster",
    )
    .await?;
    base.assign(&spec("needed", "1.0.0")).await?;
    base.until_available("1.0.0").await?;
    until_phase(&shop, Phase::Waiting, "RequirementNotMet", "1.0.0 runs here").await?;
    base.assign(&spec("needed", "2.0.0")).await?;
    shop.until_available("1.0.0").await?;

    base.assign(&spec("needed", "3.0.0")).await?;
    until_phase(&base, Phase::Rejected, "RequiredByOthers", "needing requires needed >=2, <3")
        .await?;
    ensure!(base.config("needed", "v").await?.as_deref() == Some("2.0.0"));
    // The new requirement alone starts no rollout there, but it allows that of the other add-on.
    shop.assign(&two.with("requires", needs(">=2"))).await?;
    base.until_available("3.0.0").await?;

    base.assign(
        &spec("needed", "4.0.0").with("requires", json!([{"addOn": "needing", "versions": ">=2"}])),
    )
    .await?;
    until_phase(&base, Phase::Waiting, "RequirementNotMet", "needing >=2; 1.0.0 runs here").await?;
    shop.assign(&spec("needing", "2.0.0").with("requires", needs(">=4"))).await?;
    until_phase(
        &shop,
        Phase::Rejected,
        "RequirementCycle",
        "needing requires needed, which requires needing",
    )
    .await?;
    until_phase(&base, Phase::Rejected, "RequirementCycle", "needed requires needing").await?;
    base.assign(&spec("needed", "4.0.0")).await?;
    shop.until_available("2.0.0").await?;

    base.delete().await?;
    base.until_gone().await?;
    let events = managed.kubectl("get events --all-namespaces --output json").await?;
    let message = "removed although other add-ons require it: needing requires needed";
    ensure!(events.contains(message), "{events}");
    Ok(())
}

async fn until_phase(add_on: &AddOn, phase: Phase, reason: &str, words: &str) -> Result<()> {
    let is_reached = |status: &ManagedAddOnStatus| {
        let message = status.message.as_deref().unwrap_or_default();
        status.phase == Some(phase)
            && status.reason.as_deref() == Some(reason)
            && message.contains(words)
    };
    add_on.until(&format!("to be {reason}: {words}"), is_reached).await?;
    Ok(())
}

async fn expect_window(add_on: &AddOn, opens: Timestamp) -> Result<()> {
    let status = add_on.until_phase(Phase::Waiting).await?;
    ensure!(status.reason.as_deref() == Some("OutsideWindow"), "{}", summarize(&status));
    ensure!(status.result == Some(OperationResult::InProgress), "{}", summarize(&status));
    let message = status.message.as_deref().context("no message")?;
    ensure!(message.contains(&format!("opens at {opens} (")), "{message}");
    ensure!(message.contains("in Asia/Tokyo"), "{message}");
    Ok(())
}
