//! What a preview says of messages that nobody has seen: the ones that are meant are not all there is.

use maud::{Markup, html};
use order_store::JobMethod;

use super::parts::{messages, number};
use crate::api::acts::DryRun;

/// What is in the dead-letter queue beside the messages that are meant.
pub(super) fn in_queue(dry_run: &DryRun) -> Markup {
    let DryRun { unseen, goes_behind, undeleted, method, .. } = *dry_run;
    let is_moved = method == JobMethod::MoveTask.as_str();
    html! {
        @if unseen != Some(0) {
            div #out-of-sight .notice .warn {
                p {
                    strong {
                        @match unseen {
                            None => "SQS does not tell how many more are in the queue",
                            Some(1) => "About 1 more is in the queue",
                            Some(unseen) => { "About " (number(unseen)) " more are in the queue" }
                        }
                    }
                    " that the monitor has not met: "
                    @if is_moved {
                        "SQS moves the whole queue, and takes them along. Those of them that somebody else has in \
                         hand by then stay."
                    } @else if goes_behind {
                        "SQS shows ten of a group at once. Those of them that died before you confirm go along, \
                         as they come into sight behind the others."
                    } @else {
                        "somebody else may have them in hand, or they stand behind ten others of their group. \
                         They are not among these, and stay."
                    }
                }
            }
        }
        @if undeleted > 0 {
            div #undeleted .notice .warn {
                p {
                    strong { (messages(undeleted)) " of the queue" }
                    " are redriven or discarded already. They are only deleted, not sent again."
                }
            }
        }
    }
}

/// That nothing is known of newer orders.
pub(super) fn deliveries() -> Markup {
    html! {
        div #blind .notice .warn {
            p {
                strong { "Whether newer orders were delivered cannot be known." }
                " The monitor's database has no deliveries: with the workers' own (" code { "DATABASE_URL" }
                ") messages that newer ones of their groups have overtaken would be refused. Without it they \
                 go back behind these."
            }
        }
    }
}

/// What nobody can see of the order within groups; none: it is not known how many messages it is about.
pub(super) fn in_source(count: Option<u64>) -> Markup {
    html! {
        div #unseen .notice .warn {
            p {
                strong {
                    @match count {
                        None => "How many messages are in the source queue is not known.",
                        Some(1) => "About 1 message is in the source queue.",
                        Some(count) => { "About " (messages(count)) " are in the source queue." }
                    }
                }
                " Which groups they are of cannot be seen before a worker attempts them. Newer ones of the \
                 groups of these messages are delivered first: wait until the source queue is empty where \
                 the order matters."
            }
        }
    }
}
