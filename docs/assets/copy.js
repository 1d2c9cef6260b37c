// A button on each block of code that copies it, without the prompts and the output of an example.
document.addEventListener("DOMContentLoaded", () => {
  if (!navigator.clipboard) return;
  for (const block of document.querySelectorAll("div.highlight")) {
    const button = document.createElement("button");
    button.className = "copy";
    button.type = "button";
    button.textContent = "copy";
    button.addEventListener("click", async () => {
      let text = block.querySelector("pre").textContent;
      const prompted = text.split("\n").filter((line) => /^(>>>|\.\.\.)( |$)/.test(line));
      if (prompted.length) text = prompted.map((line) => line.slice(4)).join("\n") + "\n";
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
      setTimeout(() => (button.textContent = "copy"), 1500);
    });
    block.append(button);
  }
});
