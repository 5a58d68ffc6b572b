//! Cost by size: a line for each peer, both axes logarithmic, the spread of the rounds as thin whiskers.

use super::Drawing;
use super::scale::{Scale, decades, label, round_down, round_up};
use super::svg::{Svg, WIDTH, look, width};
use crate::growth::report::{Chart, Line, Point};
use crate::peers::Peer;
use crate::table::number;

const HEIGHT: f64 = 400.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 836.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 350.0;

/// More sizes than this are not labelled one by one.
const SIZES_MAX: usize = 9;

/// A cost axis spans at least this factor, or noise would look like a mountain.
const SPAN_MIN: f64 = 10.0;

/// Draws `chart` as `name`.svg.
pub(super) fn draw(name: &str, chart: &Chart) -> Drawing {
    let mut svg = Svg::new();
    svg.text(0.0, 18.0, "title", &chart.title);
    svg.text(
        0.0,
        38.0,
        "",
        &format!(
            "{}, by {}. Lower is better. Both axes are logarithmic.",
            chart.y, chart.x
        ),
    );
    legend(&mut svg, &chart.lines);
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let positive = |pick: fn(&Point) -> f64| {
        let figures = points().map(pick).filter(|figure| *figure > 0.0);
        figures.collect::<Vec<f64>>()
    };
    let xs = positive(|point| point.x);
    let ys = [positive(|point| point.median), positive(|point| point.max)].concat();
    if xs.is_empty() || ys.is_empty() {
        svg.text(WIDTH / 2.0, HEIGHT / 2.0, "middle", "nothing was measured");
    } else {
        let (low, high) = range(&xs);
        let x = Scale::logarithmic(low, high, LEFT + 14.0, RIGHT - 14.0);
        let (low, high) = costs(&ys);
        let y = Scale::logarithmic(low, high, BOTTOM, TOP);
        costs_axis(&mut svg, &y, &decades(low, high));
        sizes_axis(&mut svg, &x, &sizes(xs), &chart.x);
        // Ours last, so that it is above the others.
        let ours = |line: &&Line| line.peer == Peer::Ours;
        let others = chart.lines.iter().filter(|line| !ours(line));
        for line in others.chain(chart.lines.iter().filter(ours)) {
            draw_line(&mut svg, line, &x, &y);
        }
    }
    Drawing {
        file: format!("{name}.svg"),
        alt: format!("{}: {} by {}", chart.title, chart.y, chart.x),
        svg: svg.finish(HEIGHT, &chart.title),
    }
}

fn range(figures: &[f64]) -> (f64, f64) {
    let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let high = figures.iter().copied().fold(0.0, f64::max);
    (low, high)
}

/// Round figures around all costs, at least [`SPAN_MIN`] apart.
fn costs(figures: &[f64]) -> (f64, f64) {
    let (low, high) = range(figures);
    // No line lies on the edge.
    let (low, high) = (round_down(low * 0.9), round_up(high * 1.1));
    if high / low >= SPAN_MIN {
        return (low, high);
    }
    // Room on both sides.
    let wider = (SPAN_MIN / (high / low)).sqrt();
    (round_down(low / wider), round_up(high * wider))
}

/// Each size, or if there are many the powers of ten.
fn sizes(mut xs: Vec<f64>) -> Vec<f64> {
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    if xs.len() <= SIZES_MAX {
        return xs;
    }
    let (low, high) = range(&xs);
    decades(low, high)
}

fn legend(svg: &mut Svg, lines: &[Line]) {
    let mut x = LEFT;
    for line in lines {
        let (look, name) = (look(line.peer), line.peer.name());
        let class = format!("{} line", look.class);
        svg.path(&[(x, 58.0), (x + 34.0, 58.0)], &class, look.dashes);
        svg.mark(look.mark, (x + 17.0, 58.0), look.class);
        let class = if line.peer == Peer::Ours {
            "strong"
        } else {
            ""
        };
        svg.text(x + 40.0, 62.0, class, name);
        x += 40.0 + width(name) + 22.0;
    }
}

fn costs_axis(svg: &mut Svg, y: &Scale, ticks: &[f64]) {
    for &tick in ticks {
        let place = y.place(tick);
        svg.line((LEFT, place), (RIGHT, place), "grid");
        svg.text(LEFT - 8.0, place + 4.0, "end", &label(tick));
    }
}

fn sizes_axis(svg: &mut Svg, x: &Scale, ticks: &[f64], title: &str) {
    svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "one");
    // From the right: the largest size is what a reader looks for.
    let mut free = f64::INFINITY;
    for &tick in ticks.iter().rev() {
        let (place, text) = (x.place(tick), label(tick));
        svg.line((place, BOTTOM), (place, BOTTOM + 5.0), "one");
        let half = width(&text) / 2.0;
        if place + half + 4.0 <= free {
            svg.text(place, BOTTOM + 19.0, "middle", &text);
            free = place - half;
        }
    }
    let middle = (LEFT + RIGHT) / 2.0;
    svg.text(middle, BOTTOM + 39.0, "middle", title);
}

fn draw_line(svg: &mut Svg, line: &Line, x: &Scale, y: &Scale) {
    let look = look(line.peer);
    let place = |point: &Point, figure: f64| (x.place(point.x), y.place(figure));
    for point in &line.points {
        let (low, high) = (place(point, point.min), place(point, point.max));
        if low.1 - high.1 > 3.0 {
            svg.spread(low, high, &format!("{} spread", look.class));
        }
    }
    let way: Vec<_> = line
        .points
        .iter()
        .map(|point| place(point, point.median))
        .collect();
    let ours = line.peer == Peer::Ours;
    let wide = if ours { " wide" } else { "" };
    svg.path(&way, &format!("{} line{wide}", look.class), look.dashes);
    for &at in &way {
        svg.mark(look.mark, at, look.class);
    }
    // Ours has its last figure beside its end.
    if let (true, Some(last), Some(&(at, height))) = (ours, line.points.last(), way.last()) {
        let text = number(last.median);
        svg.text(
            at.min(WIDTH - width(&text) - 8.0) + 8.0,
            height + 4.0,
            "strong",
            &text,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::svg::tests::assert_well_formed;
    use super::*;

    fn chart(lines: Vec<Line>) -> Chart {
        Chart {
            name: "spawn".to_string(),
            title: "Spawn & join".to_string(),
            x: "fibers".to_string(),
            y: "ns per fiber".to_string(),
            says: String::new(),
            lines,
        }
    }

    fn line(peer: Peer, medians: &[f64]) -> Line {
        let point = |(index, &median): (usize, &f64)| Point {
            x: 10f64.powi(index as i32 + 2),
            median,
            min: median * 0.8,
            max: median * 1.5,
        };
        Line {
            peer,
            points: medians.iter().enumerate().map(point).collect(),
            error: None,
        }
    }

    #[test]
    fn a_chart_of_anything_is_well_formed() {
        let some = [
            line(Peer::Ours, &[50.0, 60.0, 100.0]),
            line(Peer::May, &[5000.0]),
        ];
        let strange = [line(Peer::Ours, &[-5.0, 0.0]), line(Peer::Go, &[])];
        for lines in [Vec::from(some), Vec::from(strange), Vec::new()] {
            let drawing = draw("growth-spawn", &chart(lines));
            assert_well_formed(&drawing.svg);
            assert!(drawing.svg.contains("Spawn &amp; join"));
        }
    }

    #[test]
    fn all_that_is_measured_is_within_the_axes() {
        let (low, high) = costs(&[3.0, 5000.0]);
        assert!(low < 3.0 && high > 5000.0);
        let (low, high) = costs(&[50.0, 1000.0]);
        assert!(low < 50.0 && high > 1000.0);
        let (low, high) = costs(&[99.0, 101.0]);
        assert!(low <= 99.0 && high >= 101.0 && high / low >= SPAN_MIN);
    }

    #[test]
    fn few_sizes_are_labelled_one_by_one() {
        assert_eq!(sizes(vec![4.0, 1.0, 2.0, 1.0]), [1.0, 2.0, 4.0]);
        let many: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(sizes(many), [1.0, 10.0, 100.0, 1000.0]);
    }
}
