//! Admission that refused a write, as the API server's message names it.

use std::fmt;

/// A webhook or a policy that refused a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// A webhook that could not be called.
    Unanswered {
        /// Name of the entry in its configuration.
        webhook: String,
    },
    /// A webhook that denied the request.
    Webhook {
        /// Name of the entry in its configuration.
        webhook: String,
    },
    /// A policy that denied the request.
    Policy {
        /// Kind of the policy. The kind of its binding has the suffix `Binding`.
        kind: String,
        /// Name of the policy.
        policy: String,
        /// Name of the binding.
        binding: String,
    },
}

impl Obstacle {
    /// Returns the obstacle that a message of the API server names. Only the first one counts: the text of a webhook or a
    /// policy follows its name, and may quote another.
    pub fn of(message: &str) -> Option<Self> {
        let found = [unanswered(message), denied(message), policy(message)];
        let first = found.into_iter().flatten().min_by_key(|(position, _)| *position);
        first.map(|(_, obstacle)| obstacle)
    }
}

/// In the API server's words.
impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered { webhook } => write!(out, "failed calling webhook \"{webhook}\""),
            Self::Webhook { webhook } => {
                write!(out, "admission webhook \"{webhook}\" denied the request")
            }
            Self::Policy { kind, policy, binding } => {
                write!(out, "{kind} '{policy}' with binding '{binding}' denied request")
            }
        }
    }
}

fn unanswered(message: &str) -> Option<(usize, Obstacle)> {
    let (before, after) = message.split_once("failed calling webhook \"")?;
    let (webhook, _) = after.split_once('"')?;
    Some((before.len(), Obstacle::Unanswered { webhook: webhook.to_owned() }))
}

fn denied(message: &str) -> Option<(usize, Obstacle)> {
    let (before, after) = message.split_once("admission webhook \"")?;
    let (webhook, _) = after.split_once("\" denied the request")?;
    Some((before.len(), Obstacle::Webhook { webhook: webhook.to_owned() }))
}

fn policy(message: &str) -> Option<(usize, Obstacle)> {
    let (before, after) = message.split_once("AdmissionPolicy '")?;
    let (policy, after) = after.split_once("' with binding '")?;
    let (binding, _) = after.split_once("' denied request")?;
    let start = before.rfind(' ').map_or(0, |space| space + 1);
    let kind = format!("{}AdmissionPolicy", &before[start..]);
    let (policy, binding) = (policy.to_owned(), binding.to_owned());
    Some((start, Obstacle::Policy { kind, policy, binding }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusal_that_a_message_names_is_the_obstacle() {
        for (message, expected) in [
            (
                "Internal error occurred: failed calling webhook \"a.example.com\": failed to call webhook: Post",
                Some("failed calling webhook \"a.example.com\""),
            ),
            (
                "ConfigMap n/c: admission webhook \"a.example.com\" denied the request: not today",
                Some("admission webhook \"a.example.com\" denied the request"),
            ),
            (
                "admission webhook \"a\" denied the request without explanation",
                Some("admission webhook \"a\" denied the request"),
            ),
            (
                "lamps.e.com is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
                Some("ValidatingAdmissionPolicy 'p' with binding 'b' denied request"),
            ),
            (
                "admission webhook \"foreign\" denied the request: failed calling webhook \"own\"",
                Some("admission webhook \"foreign\" denied the request"),
            ),
            (
                "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: admission webhook \"own\" denied the request",
                Some("ValidatingAdmissionPolicy 'p' with binding 'b' denied request"),
            ),
            ("configmaps is forbidden: User \"x\" cannot patch", None),
            ("spec.replicas: Invalid value: -1", None),
            ("failed calling webhook", None),
        ] {
            let obstacle = Obstacle::of(message).map(|obstacle| obstacle.to_string());
            assert_eq!(obstacle.as_deref(), expected, "{message}");
        }
    }
}
