#!/usr/bin/env python3
"""Draws a run's losses as an SVG: python3 docs/draw_run.py RUN/metrics.jsonl TITLE > docs/run.svg

Training loss smoothed over a fiftieth of the steps, validation losses as points. Needs nothing but Python 3.
"""
import json
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 330, 56, 16, 56, 44


def read(path):
    """Step and loss of both kinds of rows; of several rows for one step the last one counts."""
    training, validation = {}, {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if "loss" in row:
                training[row["step"]] = row["loss"]
            if "validation_loss" in row:
                validation[row["step"]] = row["validation_loss"]
    return sorted(training.items()), sorted(validation.items())


def smooth(points):
    window = max(1, len(points) // 50)
    smoothed = []
    for i, (step, _) in enumerate(points):
        part = [loss for _, loss in points[max(0, i - window + 1):i + 1]]
        smoothed.append((step, sum(part) / len(part)))
    return smoothed


def round_interval(last):
    """1, 2 or 5 times a power of ten, for four to ten marks up to `last`."""
    power = 10 ** max(len(str(last)) - 2, 0)
    return next(power * factor for factor in (1, 2, 5, 10, 20) if last / (power * factor) <= 10)


def main():
    training, validation = read(sys.argv[1])
    title = sys.argv[2]
    training = smooth(training)
    losses = [loss for _, loss in training + validation]
    low, high = int(min(losses)), int(max(losses)) + 1
    last = max(step for step, _ in training + validation)

    def x(step):
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(loss):
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
           'font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>']
    for tick in range(low, high + 1):
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for step in range(0, last + 1, round_interval(last)):
        out.append(f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text>')
    out.append(f'<text x="14" y="{TOP - 12}">loss, nats per token</text>')
    line = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in training)
    out.append(f'<polyline points="{line}" fill="none" stroke="#2a6fb0" stroke-width="1.5"/>')
    for step, loss in validation:
        out.append(f'<circle cx="{x(step):.1f}" cy="{y(loss):.1f}" r="3.5" fill="#c03a2b"/>')
    out.append(f'<text x="{WIDTH - RIGHT}" y="{TOP + 6}" text-anchor="end"><tspan fill="#2a6fb0">training</tspan> '
               '<tspan fill="#c03a2b">held out</tspan></text>')
    out.append("</svg>")
    print("\n".join(out))


if __name__ == "__main__":
    main()
