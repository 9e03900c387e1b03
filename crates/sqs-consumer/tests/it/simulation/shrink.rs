//! Makes a plan that violates a rule smaller, as long as it still violates that rule.

use super::{
    plan::{HandlerTime, Nature, Plan},
    run::run,
    trace::Trace,
    violation::Check,
};

/// Runs spent on it at most.
const TRIES: usize = 400;

/// The smallest plan found.
pub(super) fn shrink(plan: &Plan, check: Check) -> Plan {
    let mut smallest = plan.clone();
    let mut tries = 0;
    loop {
        let mut progress = false;
        let mut position = 0;
        loop {
            let smaller = match reduction(&smallest, position) {
                Reduced::To(smaller) => *smaller,
                Reduced::Unchanged => {
                    position += 1;
                    continue;
                }
                Reduced::NoMore => break,
            };
            position += 1;
            tries += 1;
            if tries > TRIES {
                return smallest;
            }
            let violation = run(&smaller, Trace::default()).violation;
            if violation.is_some_and(|violation| violation.check == check) {
                smallest = smaller;
                progress = true;
                // What came at this position may be gone: look at it again.
                position = position.saturating_sub(1);
            }
        }
        if !progress {
            return smallest;
        }
    }
}

/// What the reduction at a position makes of a plan.
enum Reduced {
    To(Box<Plan>),
    Unchanged,
    NoMore,
}

fn reduction(plan: &Plan, position: usize) -> Reduced {
    let mut smaller = plan.clone();
    let changed = if let Some(simple) = SIMPLE.get(position) {
        simple(&mut smaller)
    } else {
        let position = position - SIMPLE.len();
        if position < plan.troubles.len() {
            smaller.troubles.remove(position);
        } else if position - plan.troubles.len() < plan.windows.len() {
            smaller.windows.remove(position - plan.troubles.len());
        } else {
            // Chunks of messages, from halves down to single ones.
            let position = position - plan.troubles.len() - plan.windows.len();
            let Some((from, length)) = chunk(plan.messages.len(), position) else {
                return Reduced::NoMore;
            };
            smaller.messages.drain(from..from + length);
        }
        true
    };
    if changed { Reduced::To(Box::new(smaller)) } else { Reduced::Unchanged }
}

fn chunk(count: usize, mut position: usize) -> Option<(usize, usize)> {
    let mut length = count.div_ceil(2);
    while length > 0 && count > 1 {
        let chunks = count / length;
        if position < chunks {
            return Some((position * length, length));
        }
        position -= chunks;
        length /= 2;
    }
    None
}

type Reduction = fn(&mut Plan) -> bool;

const SIMPLE: [Reduction; 14] = [
    |plan| replace(&mut plan.network.lost, 0.0),
    |plan| replace(&mut plan.network.late_answer, 0.0),
    |plan| replace(&mut plan.network.late_request, 0.0),
    |plan| replace(&mut plan.network.repeated, 0.0),
    |plan| replace(&mut plan.network.partial, 0.0),
    |plan| replace(&mut plan.handlers.not_before, 0.0),
    |plan| replace(&mut plan.handlers.outliers, 0.0),
    |plan| replace(&mut plan.workers, 1),
    |plan| plan.workers > 1 && replace(&mut plan.workers, 2),
    |plan| replace(&mut plan.redrive, None) && plan.config.dead_letter_queue,
    |plan| plan.in_flight_limit.take().is_some(),
    |plan| {
        let constant = matches!(plan.handlers.time, HandlerTime::Constant(_));
        plan.handlers.time = HandlerTime::Constant(100);
        !constant
    },
    |plan| {
        let shared = plan.messages.iter().any(|message| message.shared_failures > 0);
        plan.messages.iter_mut().for_each(|message| message.shared_failures = 0);
        shared
    },
    |plan| {
        let well = Nature::FailsFirst(0);
        let ill = plan.messages.iter().any(|message| message.nature != well);
        plan.messages.iter_mut().for_each(|message| message.nature = well);
        ill
    },
];

fn replace<T: PartialEq>(place: &mut T, value: T) -> bool {
    std::mem::replace(place, value) != *place
}
