//! What has to hold by now.

use lifecycle::{Phase, Reason};

use super::Scene;
use super::words::{describe_action, describe_history};

impl Scene {
    #[track_caller]
    pub fn is(self, phase: Phase) -> Self {
        assert_eq!(self.rollout.phase(), phase, "{}", self.describe());
        self
    }

    #[track_caller]
    pub fn does(self, action: &str) -> Self {
        assert_eq!(self.action_text(), action, "{}", self.describe());
        self
    }

    #[track_caller]
    pub fn because(self, reason: Reason) -> Self {
        assert_eq!(lifecycle::reason(&self.rollout), reason, "{}", self.describe());
        self
    }

    /// Current and previous version in the status; `-` for none.
    #[track_caller]
    pub fn runs(self, current: &str, previous: &str) -> Self {
        let shown = |version: &Option<String>| version.clone().unwrap_or("-".to_owned());
        let (c, p) = (shown(&self.saved.current_version), shown(&self.saved.previous_version));
        assert_eq!((c.as_str(), p.as_str()), (current, previous), "{}", self.describe());
        self
    }

    /// Operation and result in the status.
    #[track_caller]
    pub fn shows_operation(self, operation: &str) -> Self {
        assert_eq!(self.operation(), operation, "{}", self.describe());
        self
    }

    /// Entries of the history, newest first: `<sequence> <operation> <version> <result> <reason>`.
    #[track_caller]
    pub fn has_history(self, entries: &[&str]) -> Self {
        assert_eq!(describe_history(&self.rollout), entries, "{}", self.describe());
        self
    }

    /// The conditions that are True.
    #[track_caller]
    pub fn has_conditions(self, true_ones: &str) -> Self {
        let is_true = self.saved.conditions.iter().filter(|condition| condition.status == "True");
        let shown: Vec<_> = is_true.map(|condition| condition.type_.as_str()).collect();
        assert_eq!(shown.join(" "), true_ones, "{}", self.describe());
        self
    }

    /// `<status> <reason>: <message>` of a condition.
    #[track_caller]
    pub fn shows_condition(self, kind: &str, expected: &str) -> Self {
        let found = self.saved.conditions.iter().find(|found| found.type_ == kind);
        let shown = found.map_or("absent".to_owned(), |found| {
            format!("{} {}: {}", found.status, found.reason, found.message)
        });
        assert_eq!(shown, expected, "{}", self.describe());
        self
    }

    pub fn action_text(&self) -> String {
        self.action.as_ref().map_or("-".to_owned(), describe_action)
    }

    pub fn message(&self) -> &str {
        self.saved.message.as_deref().unwrap_or_default()
    }

    fn operation(&self) -> String {
        match (self.saved.operation, self.saved.result) {
            (Some(operation), Some(result)) => format!("{} {}", operation.name(), result.name()),
            _ => "-".to_owned(),
        }
    }

    /// The steps so far, for a failed assertion.
    pub fn describe(&self) -> String {
        let steps = self.steps.iter().map(|step| {
            let action = step.after.action.as_ref().map_or("-".to_owned(), describe_action);
            format!("{} {action}", step.after.rollout.phase().name())
        });
        let mut lines: Vec<String> = steps.collect();
        lines.dedup();
        format!("{} {:?}\n  {}", self.operation(), self.message(), lines.join("\n  "))
    }
}
