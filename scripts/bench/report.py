"""Samples to medians, ratios, Markdown and JSON."""

import json
import os
import statistics

import targets

MIB = 1 << 20
GIB = 1 << 30
OURS = "bt-mount"


def link_name(link):
    rtt, rate = link["rtt_ms"], link["rate"]
    return f"{rtt:g} ms" + (f", {rate * 8 / 1e9:g} Gbit/s" if rate else "")


def _time(seconds):
    if seconds >= 100:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


class Report:
    """Collects samples as they come; what is written is complete at any moment."""

    def __init__(self, conditions):
        self.conditions = conditions
        self.samples = []
        self.failures = []

    def add(self, link, samples):
        self.samples += [{"link": link, **sample} for sample in samples]

    def fail(self, link, case, peer, round_number, why):
        self.failures.append({"link": link, "case": case, "peer": peer, "round": round_number, "why": why})

    def save(self, directory):
        for name, text in (("bench.json", json.dumps({"conditions": self.conditions, "samples": self.samples,
                                                       "failures": self.failures}, indent=1) + "\n"),
                           ("bench.md", self.markdown())):
            with open(f"{directory}/{name}.new", "w") as file:
                file.write(text)
            os.replace(f"{directory}/{name}.new", f"{directory}/{name}")

    # --- Markdown -----------------------------------------------------------------------------------------------------

    def markdown(self):
        lines = ["# Benchmark", ""]
        lines += [f"* {name}: {value}" for name, value in self.conditions.items()]
        lines += ["", "Medians (smallest to largest of the rounds). In brackets: how many times as long as bt-mount took.",
                  ""]
        lines += self._main_table() + [""] + targets.table(self.samples) + [""] + self._cost_table() + [""] + self._notes()
        return "\n".join(lines).rstrip() + "\n"

    def _rows(self):
        """(link, case) in the order in which they were first measured."""
        seen = []
        for one in self.samples + self.failures:
            key = (link_name(one["link"]), one["case"])
            if key not in seen:
                seen.append(key)
        return seen

    def _peers(self):
        return list(dict.fromkeys(one["peer"] for one in self.samples + self.failures))

    def _of(self, link, case, peer):
        return [one for one in self.samples
                if link_name(one["link"]) == link and one["case"] == case and one["peer"] == peer]

    def _main_table(self):
        peers = self._peers()
        lines = ["| case | link | " + " | ".join(peers) + " |", "|---|---|" + "---|" * len(peers)]
        for link, case in self._rows():
            ours = [one["seconds"] for one in self._of(link, case, OURS)]
            cells = []
            for peer in peers:
                samples = self._of(link, case, peer)
                failed = [one for one in self.failures if (link_name(one["link"]), one["case"], one["peer"]) ==
                          (link, case, peer)]
                cells.append(self._cell(samples, ours if peer != OURS else [], failed))
            lines.append(f"| {case} | {link} | " + " | ".join(cells) + " |")
        return lines

    @staticmethod
    def _cell(samples, ours, failed):
        if not samples:
            return "failed" if failed else ""
        times = [one["seconds"] for one in samples]
        median = statistics.median(times)
        size = samples[0].get("bytes")
        # Rates only for what moves many bytes in one piece.
        if size and size >= 4 * MIB and "waits" not in samples[0]:
            rates = [size / 1e6 / seconds for seconds in times]
            cell = f"{statistics.median(rates):.0f} MB/s"
            spread = f"{min(rates):.0f}-{max(rates):.0f}"
        else:
            cell = _time(median)
            spread = f"{_time(min(times))} - {_time(max(times))}"
        if len(times) > 1:
            cell += f" ({spread})"
        if ours:
            cell += f" [{median / statistics.median(ours):.2g}]" if median / statistics.median(ours) < 100 else \
                f" [{median / statistics.median(ours):.0f}]"
        return cell + (f"; {len(failed)} failed" if failed else "")

    def _cost_table(self):
        """Processors, memory and wire."""
        lines = ["| case | link | program | client CPU | sshd CPU | emulator CPU | peak memory | wire down | wire up | "
                 "requests | turns |", "|---|---|---|---|---|---|---|---|---|---|---|"]
        for link, case in self._rows():
            for peer in self._peers():
                samples = [one for one in self._of(link, case, peer) if "cpu_client" in one]
                if samples and peer != "local":
                    lines.append(f"| {case} | {link} | {peer} | " + " | ".join(self._costs(samples)) + " |")
        return lines if len(lines) > 2 else []

    @staticmethod
    def _costs(samples):
        def median(name):
            return statistics.median(one.get(name, 0) for one in samples)

        read = statistics.median(one.get("bytes_read", one.get("bytes", 0)) for one in samples)
        cells = []
        for name in ("cpu_client", "cpu_server", "cpu_emulator"):
            if read >= 8 * MIB:
                cells.append(f"{median(name) / read * GIB:.2f} s/GiB")
            else:
                cells.append(f"{median(name):.2f} s")
        cells.append(f"{median('memory') / MIB:.0f} MiB")
        for name in ("wire_down", "wire_up"):
            cells.append(f"{median(name) / MIB:.2f} MiB")
        counted = median("requests") > 0
        cells += [f"{median('requests'):.0f}", f"{median('turns'):.0f}"] if counted else ["", ""]
        return cells

    def _notes(self):
        lines = []
        for one in self.samples:
            if "note" in one:
                lines.append(f"* {one['case']}, {link_name(one['link'])}, {one['peer']}: {one['note']}")
            elif one.get("bytes_read", one.get("bytes", 0)) < one.get("bytes", 0):
                lines.append(f"* {one['case']}, {link_name(one['link'])}, {one['peer']}: measured over the first "
                             f"{one['bytes_read'] / MIB:.0f} MiB")
        for one in self.failures:
            lines.append(f"* FAILED: {one['case']}, {link_name(one['link'])}, {one['peer']}, round {one['round']}: "
                         f"{one['why']}")
        return list(dict.fromkeys(lines))
