//! The fleet as its users meet it: in one process, as separate processes, and on paper.

mod architecture;
mod checked;
mod client;
mod collector;
mod documents;
mod in_process;
mod observed;
mod outages;
mod processes;
mod promise;
mod redriven;
mod rig;
mod separate;
mod traces;
