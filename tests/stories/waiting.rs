//! What a rollout waits for: a maintenance window, another add-on.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use lifecycle::{ManagedAddOnStatus, OperationResult, Phase};
use serde_json::{Value, json};

use testbed::bundle::{Bundle, Spec};
use testbed::{AddOn, summarize};

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

pub async fn what_needs_another_add_on_waits_and_guards_it(bed: &Bed) -> Result<()> {
    let managed = bed.managed().await?;
    let (base, shop) = (managed.add_on("needed"), managed.add_on("needing"));
    let needs = |versions| json!([{"addOn": "needed", "versions": versions}]);
    let two = spec("needing", "1.0.0").with("requires", needs(">=2, <3"));
    shop.assign(&two).await?;
    is(&shop, Phase::Waiting, "RequirementNotMet", "needed >=2, <3, which is not on this cluster")
        .await?;
    base.assign(&spec("needed", "1.0.0")).await?;
    base.until_available("1.0.0").await?;
    is(&shop, Phase::Waiting, "RequirementNotMet", "1.0.0 runs here").await?;
    base.assign(&spec("needed", "2.0.0")).await?;
    shop.until_available("1.0.0").await?;

    base.assign(&spec("needed", "3.0.0")).await?;
    is(&base, Phase::Rejected, "RequiredByOthers", "needing requires needed >=2, <3").await?;
    ensure!(base.config("needed", "v").await?.as_deref() == Some("2.0.0"));
    // That alone starts nothing there, and is a word for the other one.
    shop.assign(&two.with("requires", needs(">=2"))).await?;
    base.until_available("3.0.0").await?;

    base.assign(
        &spec("needed", "4.0.0").with("requires", json!([{"addOn": "needing", "versions": ">=2"}])),
    )
    .await?;
    is(&base, Phase::Waiting, "RequirementNotMet", "needing >=2; 1.0.0 runs here").await?;
    shop.assign(&spec("needing", "2.0.0").with("requires", needs(">=4"))).await?;
    is(
        &shop,
        Phase::Rejected,
        "RequirementCycle",
        "needing requires needed, which requires needing",
    )
    .await?;
    is(&base, Phase::Rejected, "RequirementCycle", "needed requires needing").await?;
    base.assign(&spec("needed", "4.0.0")).await?;
    shop.until_available("2.0.0").await?;

    base.delete().await?;
    base.until_gone().await?;
    let events = managed.kubectl("get events --all-namespaces --output json").await?;
    let told = "removed although other add-ons require it: needing requires needed";
    ensure!(events.contains(told), "{events}");
    Ok(())
}

async fn is(add_on: &AddOn, phase: Phase, reason: &str, words: &str) -> Result<()> {
    let told = |status: &ManagedAddOnStatus| {
        let message = status.message.as_deref().unwrap_or_default();
        status.phase == Some(phase)
            && status.reason.as_deref() == Some(reason)
            && message.contains(words)
    };
    add_on.until(&format!("to be {reason}: {words}"), told).await?;
    Ok(())
}

async fn waits_until(add_on: &AddOn, opens: Timestamp) -> Result<()> {
    let status = add_on.until_phase(Phase::Waiting).await?;
    ensure!(status.reason.as_deref() == Some("OutsideWindow"), "{}", summarize(&status));
    ensure!(status.result == Some(OperationResult::InProgress), "{}", summarize(&status));
    let message = status.message.as_deref().context("no message")?;
    ensure!(message.contains(&format!("opens at {opens} (")), "{message}");
    ensure!(message.contains("in Asia/Tokyo"), "{message}");
    Ok(())
}
