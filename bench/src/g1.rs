//! G1: whether a message costs more when there are many.

use std::{fmt::Write as _, path::Path};

use crate::{
    load::Load,
    results::Section,
    role::{Client, Kind, Spec, Until, Work},
    sqs::median,
    stage::{Groups, Stage, prepare},
};

/// At most so much of what a message costs with a short queue.
const RATIO: f64 = 1.1;

/// What is in the queue, all the time.
#[derive(Clone, Copy, Debug)]
struct Shape {
    backlog: usize,
    groups: usize,
}

/// A shape with the one that it is compared with.
#[derive(Clone, Copy, Debug)]
struct Cell {
    fifo: bool,
    small: Shape,
    large: Shape,
}

impl Cell {
    fn queue(self) -> &'static str {
        if self.fifo { "FIFO" } else { "standard" }
    }

    /// Whose cost grows beyond the bound, in words.
    fn missed(self, consumer: f64, server: f64) -> String {
        let costs = [("consumer", consumer), ("server", server)];
        let [beyond, within] = [true, false].map(|wanted| {
            let those = costs.iter().filter(|(_, ratio)| (*ratio > RATIO) == wanted);
            let those: Vec<String> =
                those.map(|(who, ratio)| format!("{ratio:.2} times the {who}'s")).collect();
            those.join(" and ")
        });
        let within = if within.is_empty() { within } else { format!(" ({within})") };
        let Self { small, large, .. } = self;
        format!(
            "{beyond} processor time per message{within} on the {} queue, {} against {}",
            self.queue(),
            large.words(),
            small.words()
        )
    }
}

impl Shape {
    fn words(self) -> String {
        let groups = if self.groups == 1 { "group" } else { "groups" };
        format!("{} messages in {} {groups}", self.backlog, self.groups)
    }
}

struct Staged {
    cell: Cell,
    small: Stage,
    large: Stage,
    figures: Vec<[Costs; 2]>,
}

/// A cell with what was measured of it, round by round.
struct Compared {
    cell: Cell,
    figures: Vec<[Costs; 2]>,
}

/// One long queue of many groups against another of one: of each round, the two that were measured one soon
/// after the other.
fn by_groups_alone(compared: &[Compared]) -> Vec<Compared> {
    let pairs = compared.iter().zip(compared.iter().skip(1));
    let alike = pairs.filter(|(one, many)| {
        one.cell.fifo == many.cell.fifo && one.cell.large.groups == 1 && many.cell.large.groups > 1
    });
    alike
        .map(|(one, many)| Compared {
            cell: Cell { small: one.cell.large, ..many.cell },
            figures: one.figures.iter().zip(&many.figures).map(|(a, b)| [a[1], b[1]]).collect(),
        })
        .collect()
}

/// Processor time per message, in µs.
#[derive(Clone, Copy, Debug)]
struct Costs {
    consumer: f64,
    server: f64,
}

fn cells(most: usize) -> Vec<Cell> {
    let cell = |fifo, small_groups, large_groups| Cell {
        fifo,
        small: Shape { backlog: most / 1_000, groups: small_groups },
        large: Shape { backlog: most, groups: large_groups },
    };
    let many = most / 10;
    vec![
        cell(false, 1, 1),
        cell(false, 1, many),
        cell(true, 1, 1),
        cell(true, 1, many),
        cell(true, many / 1_000, many),
    ]
}

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = prepare()?;
    let (most, rounds, messages) = if quick { (100_000, 2, 5_000) } else { (1_000_000, 7, 40_000) };
    let mut stages = Vec::new();
    for cell in cells(most) {
        println!("setting up {}: {} and {}", cell.queue(), cell.small.words(), cell.large.words());
        let small = set_up(&binaries, cell.fifo, cell.small).await?;
        let large = set_up(&binaries, cell.fifo, cell.large).await?;
        stages.push(Staged { cell, small, large, figures: Vec::new() });
    }
    for round in 0..=rounds {
        for staged in &mut stages {
            // One right after the other: machines change their pace.
            let Staged { cell, small, large, figures } = staged;
            // A group alone goes message by message, which takes long.
            let few = |shape: Shape| if cell.fifo && shape.groups == 1 { 4 } else { 1 };
            let messages = messages / few(cell.small).max(few(cell.large));
            let costs = [
                measure(small, cell.small, messages).await?,
                measure(large, cell.large, messages).await?,
            ];
            let [short, long] = costs.map(|Costs { consumer, server }| {
                format!("consumer {consumer:.1} µs, server {server:.1} µs")
            });
            println!(
                "round {round}, {}: {short}; {}: {long}",
                cell.small.words(),
                cell.large.words()
            );
            // The first round warms up.
            if round > 0 {
                figures.push(costs);
            }
        }
    }
    let mut compared: Vec<Compared> =
        stages.into_iter().map(|Staged { cell, figures, .. }| Compared { cell, figures }).collect();
    compared.extend(by_groups_alone(&compared));
    let mut missed = Vec::new();
    let text = table(&compared, messages, &mut missed)?;
    let command = "cargo run --release -p bench -- g1";
    Section { title: "G1: cost by backlog and groups", command, text }.conclude(quick, &missed)
}

async fn set_up(binaries: &Path, fifo: bool, shape: Shape) -> anyhow::Result<Stage> {
    let mut stage = Stage::set_up(binaries, fifo).await?;
    stage.fill(shape.backlog, Groups::Equal(shape.groups)).await?;
    Ok(stage)
}

/// What so many messages cost while others take their places.
async fn measure(stage: &mut Stage, shape: Shape, messages: usize) -> anyhow::Result<Costs> {
    let spec = Spec {
        kind: Kind::Worker,
        queue: stage.queue.clone(),
        until: Until::Deleted(messages),
        concurrency: 64,
        work: Work::Nothing,
    };
    let mut client = Client::start(&spec)?;
    let load = Load::replacements(stage, Groups::Equal(shape.groups), shape.backlog).await?;
    let server = stage.server.process.exact_cpu_time()?;
    let consumer = client.process.exact_cpu_time()?;
    client.go()?;
    client.reported().await?;
    let consumer = client.process.exact_cpu_time()?.saturating_sub(consumer);
    let server = stage.server.process.exact_cpu_time()?.saturating_sub(server);
    load.end().await?;
    // What it still holds goes back, so that no group is blocked in the next round.
    client.process.terminate()?;
    let per_message = |time: std::time::Duration| time.as_secs_f64() * 1e6 / messages as f64;
    Ok(Costs { consumer: per_message(consumer), server: per_message(server) })
}

fn table(stages: &[Compared], messages: usize, missed: &mut Vec<String>) -> anyhow::Result<String> {
    let mut text = String::from(
        "| queue | backlog | groups | consumer CPU per message | ratio | server CPU per message | ratio |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Compared { cell, figures } in stages {
        let queue = cell.queue();
        let of = |figure: fn(&[Costs; 2]) -> f64| median(figures.iter().map(figure).collect());
        let consumer = of(|[small, large]| large.consumer / small.consumer)?;
        let server = of(|[small, large]| large.server / small.server)?;
        let small = (of(|f| f[0].consumer)?, of(|f| f[0].server)?);
        let large = (of(|f| f[1].consumer)?, of(|f| f[1].server)?);
        for (shape, costs, ratios) in
            [(cell.small, small, (1.0, 1.0)), (cell.large, large, (consumer, server))]
        {
            writeln!(
                text,
                "| {queue} | {} | {} | {:.1} µs | {:.2} | {:.1} µs | {:.2} |",
                shape.backlog, shape.groups, costs.0, ratios.0, costs.1, ratios.1
            )?;
        }
        if consumer > RATIO || server > RATIO {
            missed.push(cell.missed(consumer, server));
        }
    }
    let rounds = stages.first().map_or(0, |compared| compared.figures.len());
    writeln!(
        text,
        "\nA handler that does nothing and {messages} messages, a quarter of them where all are of one FIFO \
         group; what is deleted is replaced, so that the queue keeps its length. Each second line is measured \
         right after the one above it and compared with it; the last two pairs are of long queues measured above, by \
         groups alone. Medians of {rounds} rounds. Wanted: at most {RATIO}.\n\n\
         Not only the consumer is held to the bound but the server too, local-sqs, whose part is its own. By its code no \
         step goes through a long queue: a group is served from its front, of which a dozen places are looked at \
         (`model/line.rs`), and the maps of all messages, by number and by age, are as deep as the logarithm of the \
         backlog (`model/queue.rs`). What grows is the memory that it goes through: of a million messages each is given \
         out and freed long after it was written, where a short queue uses the same few places again and again; S1 tells \
         how much memory a message takes. A FIFO queue has another such map, the deduplication ids of \
         all that was sent in five minutes (`model/dedup.rs`). How much of the server's ratio is whose is not measured."
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_queues_of_one_kind_are_compared_by_their_groups() {
        let cells = cells(1_000_000);
        let compared: Vec<Compared> = (1..)
            .zip(cells)
            .map(|(n, cell)| {
                let [short, long] =
                    [0.0, f64::from(n)].map(|us| Costs { consumer: us, server: us });
                Compared { cell, figures: vec![[short, long]] }
            })
            .collect();
        let words = by_groups_alone(&compared).into_iter().map(|Compared { cell, figures }| {
            let [one, many] = figures[0];
            let Cell { small, large, .. } = cell;
            let costs = (one.server, many.server);
            format!("{} {}, {} {costs:?}", cell.queue(), small.words(), large.words())
        });
        assert_eq!(
            words.collect::<Vec<_>>(),
            [
                "standard 1000000 messages in 1 group, 1000000 messages in 100000 groups (1.0, 2.0)",
                "FIFO 1000000 messages in 1 group, 1000000 messages in 100000 groups (3.0, 4.0)",
            ]
        );
    }

    #[test]
    fn what_is_missed_is_said_in_words() {
        let cells = cells(1_000_000);
        assert_eq!(
            cells[4].missed(0.987, 1.123),
            "1.12 times the server's processor time per message (0.99 times the consumer's) on the FIFO queue, \
             1000000 messages in 100000 groups against 1000 messages in 100 groups"
        );
        assert_eq!(
            cells[2].missed(1.2, 1.3),
            "1.20 times the consumer's and 1.30 times the server's processor time per message on the FIFO queue, \
             1000000 messages in 1 group against 1000 messages in 1 group"
        );
    }
}
