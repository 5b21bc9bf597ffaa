"""Does it keep its files in its data directory, and nowhere else?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding, ill, odd, well
from kvsim.doctor.patient import Patient


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        if patient.can("put"):
            ward.ask("put", key="doctor", value="was here")
        folder, data = ward.node.folder, ward.node.data
        outside = [
            path
            for path in folder.iterdir()
            if path != data and path.suffix != ".log" and not path.name.startswith("data.")
        ]
        inside = [path for path in data.rglob("*") if path.is_file()]
    if outside:
        return ill(
            f"it wrote {', '.join(path.name for path in outside)} into the folder it was started in",
            "two nodes started there would share these files",
            "put every file below `{data_dir}`",
        )
    if not inside:
        return odd(
            "it wrote no file at all",
            "what it acknowledged is gone when it ends",
            "if that is meant, leave `restart` out of `capabilities`",
        )
    return well(f"{len(inside)} files, all in its data directory")
