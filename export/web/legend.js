// The list of classes: names, colors, shares; which are hidden, and which one is pointed at.

export class Legend {
  hidden = new Set();
  highlighted = null;

  constructor(about, onChange) {
    this.onChange = onChange;
    this.present = document.getElementById("classes");
    this.absent = document.getElementById("absent-classes");
    this.rows = about.class_names.map((name, number) => this.#row(name, number, about.palette[number]));
    this.present.append(...this.rows.map(({ item }) => item));
  }

  // Sorts the classes by their share of the pixels and sets apart those that are not there.
  showShares(counts) {
    const total = counts.reduce((sum, count) => sum + count, 0);
    for (const [number, { share }] of this.rows.entries()) share.textContent = percent(counts[number] / total);
    const order = [...this.rows.keys()].sort((one, other) => counts[other] - counts[one] || one - other);
    const [here, gone] = [order.filter((number) => counts[number]), order.filter((number) => !counts[number])];
    this.present.replaceChildren(...here.map((number) => this.rows[number].item));
    this.absent.replaceChildren(...gone.map((number) => this.rows[number].item));
    const details = this.absent.parentElement;
    details.hidden = gone.length === 0;
    details.querySelector("summary").textContent = `${gone.length} not in this image`;
  }

  forgetShares() {
    for (const { share } of this.rows) share.textContent = "";
    this.present.replaceChildren(...this.rows.map(({ item }) => item));
    this.absent.parentElement.hidden = true;
  }

  #row(name, number, color) {
    const item = document.createElement("li");
    const label = item.appendChild(document.createElement("label"));
    const box = label.appendChild(document.createElement("input"));
    box.type = "checkbox";
    box.checked = true;
    const swatch = label.appendChild(document.createElement("span"));
    swatch.className = "swatch";
    swatch.style.backgroundColor = `rgb(${color.join(" ")})`;
    label.appendChild(document.createElement("span")).className = "name";
    label.lastChild.textContent = name;
    const share = label.appendChild(document.createElement("span"));
    share.className = "share";
    box.addEventListener("change", () => {
      if (box.checked) this.hidden.delete(number);
      else this.hidden.add(number);
      label.classList.toggle("hidden-class", !box.checked);
      this.onChange();
    });
    const highlight = (which) => () => {
      this.highlighted = which;
      this.onChange();
    };
    label.addEventListener("pointerenter", highlight(number));
    label.addEventListener("pointerleave", highlight(null));
    box.addEventListener("focus", () => box.matches(":focus-visible") && highlight(number)());
    box.addEventListener("blur", highlight(null));
    return { item, share };
  }
}

export function percent(part) {
  const value = part * 100;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value.toFixed(1)} %`;
}
