"""What to put into an original program so that it records samples: a few lines a language."""

from __future__ import annotations

from pathlib import Path

from porter.errors import PorterError, UnreadableError

NAME = "samples.csv"
UNKNOWN_INPUTS, UNKNOWN_OUTPUTS = "N_INPUTS", "N_OUTPUTS"

PYTHON = """\
# Put this beside the original network function; here it is called `network` and takes one row at a time.
import numpy as np

rng = np.random.default_rng(1)
low, high = LOW, HIGH  # (N_INPUTS,) least and greatest value of each input, as in production
with open("samples.csv", "w") as out:
    for _ in range(ROWS):
        x = low + (high - low) * rng.random(N_INPUTS)
        y = np.ravel(network(x))  # N_OUTPUTS values
        out.write(",".join(f"{float(v):.17g}" for v in (*x, *y)) + "\\n")
"""
MATLAB = """\
% Put this beside the original network function; here it is called network and takes one column at a time.
rng(1);
low = LOW; high = HIGH;              % N_INPUTS x 1, least and greatest value of each input, as in production
out = fopen('samples.csv', 'w');
for k = 1:ROWS
    x = low + (high - low) .* rand(N_INPUTS, 1);
    y = network(x);                  % N_OUTPUTS values
    row = [x(:); y(:)];
    fprintf(out, '%.17g,', row(1:end-1));
    fprintf(out, '%.17g\\n', row(end));
end
fclose(out);
"""
IDL = """\
; Put this beside the original network function; here it is called network and takes one row at a time.
seed = 1L
low = LOW & high = HIGH              ; dblarr(N_INPUTS), least and greatest value of each input, as in production
openw, out, 'samples.csv', /get_lun, width=1000000
for k = 1, ROWS do begin
  x = low + (high - low) * randomu(seed, N_INPUTS, /double)
  y = network(x)                     ; N_OUTPUTS values
  printf, out, strjoin(strtrim(string([double(x), double(y)[*]], format='(E25.16E3)'), 2), ',')
endfor
free_lun, out
"""
FORTRAN = """\
! Put this into the original program where the network is called; here the call is `call network(x, y)`.
! Declarations:
integer :: porter_unit, porter_k
real(kind(1d0)) :: porter_draw(N_INPUTS), porter_low(N_INPUTS), porter_high(N_INPUTS)
! x(N_INPUTS) and y(N_OUTPUTS) are as the original has them; porter_low and porter_high are the least and the greatest
! value of each input, as in production.
open (newunit=porter_unit, file='samples.csv', status='replace', action='write')
do porter_k = 1, ROWS
  call random_number(porter_draw)
  x = porter_low + (porter_high - porter_low) * porter_draw
  call network(x, y)
  write (porter_unit, '(*(es25.16e3, :, ","))') real(x, kind(1d0)), real(y, kind(1d0))
end do
close (porter_unit)
"""
C = """\
/* Put this beside the original network function; here it is `void network(const double *x, double *y)`. */
#include <stdio.h>
#include <stdlib.h>

/* low and high: least and greatest value of each input, as in production */
void porter_capture(const double *low, const double *high)
{
    double x[N_INPUTS], y[N_OUTPUTS];
    FILE *out = fopen("samples.csv", "w");
    if (out == NULL) return;
    srand(1);
    for (int k = 0; k < ROWS; k++) {
        for (int i = 0; i < N_INPUTS; i++) x[i] = low[i] + (high[i] - low[i]) * (rand() / (double)RAND_MAX);
        network(x, y);
        for (int i = 0; i < N_INPUTS; i++) fprintf(out, "%.17g,", x[i]);
        for (int i = 0; i < N_OUTPUTS; i++) fprintf(out, "%.17g%s", y[i], i + 1 < N_OUTPUTS ? "," : "\\n");
    }
    fclose(out);
}
"""
JAVA = """\
// Put this beside the original network function; here it is `double[] network(double[] x)`.
static void porterCapture(double[] low, double[] high) throws java.io.IOException { // least and greatest of each input
    java.util.Random random = new java.util.Random(1);
    try (java.io.PrintWriter out = new java.io.PrintWriter("samples.csv")) {
        for (int k = 0; k < ROWS; k++) {
            double[] x = new double[N_INPUTS];
            for (int i = 0; i < x.length; i++) x[i] = low[i] + (high[i] - low[i]) * random.nextDouble();
            double[] y = network(x); // N_OUTPUTS values
            StringBuilder row = new StringBuilder();
            for (double v : x) row.append(v).append(',');
            for (double v : y) row.append(v).append(',');
            out.println(row.substring(0, row.length() - 1));
        }
    }
}
"""
R = """\
# Put this beside the original network function; here it is called network and takes one row at a time.
set.seed(1)
low <- LOW; high <- HIGH             # N_INPUTS values, least and greatest of each input, as in production
rows <- t(sapply(seq_len(ROWS), function(k) {
  x <- low + (high - low) * runif(N_INPUTS)
  c(x, as.numeric(network(x)))       # N_OUTPUTS values behind the inputs
}))
write.table(format(rows, digits = 17, trim = TRUE), "samples.csv",
            sep = ",", quote = FALSE, row.names = FALSE, col.names = FALSE)
"""
SNIPPETS = {
    "python": PYTHON, "matlab": MATLAB, "idl": IDL, "fortran": FORTRAN, "c": C, "java": JAVA, "r": R,
}  # fmt: skip
SIGNS = {"python": "#", "matlab": "%", "idl": ";", "fortran": "!", "c": "//", "java": "//", "r": "#"}


def snippet(language: str, inputs: int | None, outputs: int | None, rows: int) -> str:
    """The lines for one language, with the numbers of inputs and outputs where they are known."""
    text = SNIPPETS[language].replace("ROWS", str(rows))
    text = text.replace(UNKNOWN_INPUTS, UNKNOWN_INPUTS if inputs is None else str(inputs))
    text = text.replace(UNKNOWN_OUTPUTS, UNKNOWN_OUTPUTS if outputs is None else str(outputs))
    known = UNKNOWN_INPUTS if inputs is None else str(inputs)
    sign = SIGNS[language]
    return f"{text}{sign} Then: porter infer FILE --samples {NAME} --inputs {known} --write-recipe net.toml\n"


def widths_of(file: Path) -> tuple[int | None, int | None]:
    """How many values a network takes and gives: as it is read, or as its arrays follow each other.

    Raises:
        UnreadableError: the file cannot be read at all.
    """
    from porter.formats import read
    from porter.identification.infer import pool_of
    from porter.identification.widths import every_chain

    try:
        return read(file).end_widths
    except (PorterError, AttributeError):
        pool, _ = pool_of(file)
    chains = every_chain(pool)
    if not chains:
        raise UnreadableError(
            f"{file}: no arrays follow each other as layers do",
            found=", ".join(list(pool.arrays)[:12]) or "no arrays",
            expected="the arrays of a network",
            remedy="leave FILE out, and fill the numbers in by hand",
        )
    return chains[0].widths[0], chains[0].widths[-1]
