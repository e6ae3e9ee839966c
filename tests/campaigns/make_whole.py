import sys, time
from pathlib import Path
from readers import READERS

for name in sys.argv[2:] or READERS:
    f = Path(sys.argv[1], name)
    f.mkdir(parents=True, exist_ok=True)
    t = time.time()
    READERS[name].make(f)
    print(name, round(time.time() - t, 2), sum(p.stat().st_size for p in f.rglob("*")), flush=True)
